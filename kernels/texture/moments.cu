// Moments of shape and intensity: see moments.py. One block of 256 threads a region; blocks go on with
// region + gridDim.x. A warp sums a row, a lane every 32nd column of the image; then a thread a moment
// adds the rows, from the first to the last: the order of the CPU code, and its bits.
// LABEL is the labels' type, or that of the images if BOXES = 1: regions are whole boxes. The label 0
// stands for any other than 0.
#include "_cuda.cuh"

using int64 = long long;

enum : int { WARPS = 8, ORDERS = 4, SPATIAL = 12, OF_WEIGHT = 44, FEATURES = 94 };

struct Object {
  const PIXEL* pixels;  // of its image
  const LABEL* labels;
  const int64* box;  // image, label, z0, z1, y0, y1, x0, x1
  int width;         // of the image
  int top, left;     // its first row and column

  // Whether the pixel counts; v becomes its intensity.
  __device__ __forceinline__ bool inside(int y, int x, float& v) const {
    const uint64 at = (uint64)y * width + x;
#if !BOXES
    const LABEL found = labels[at];
    if (box[1] == 0 ? found == 0 : found != box[1]) return false;
#endif
    v = (float)pixels[at];
    return fabsf(v) < __int_as_float(0x7f800000);
  }
};

// The first row and column with a pixel that counts; beyond the box where there is none.
__device__ void find_corner(Object& object, int* scratch) {
  const int64* box = object.box;
  int top = box[5], left = box[7];
  for (int y = box[4] + threadIdx.x / WARP; y < box[5]; y += WARPS)
    for (int x = box[6] / WARP * WARP + threadIdx.x % WARP; x < box[7]; x += WARP) {
      float v;
      if (x < box[6] || !object.inside(y, x, v)) continue;
      top = min(top, y);
      left = min(left, x);
    }
  object.top = block_reduce(top, scratch, Min());
  object.left = block_reduce(left, scratch, Min());
}

// found[p][q] = sum of w (y - cy)^p (x - cx)^q, y and x from the object's corner.
__device__ __noinline__ void add_up(const Object& object, bool weighted, double cy, double cx,
                                    double* sums, double (*found)[ORDERS]) {
  const int64* box = object.box;
  const int y0 = box[4], height = box[5] - y0;
  for (int row = threadIdx.x / WARP; row < height; row += WARPS) {
    double sum[ORDERS] = {};
    for (int x = box[6] / WARP * WARP + threadIdx.x % WARP; x < box[7]; x += WARP) {
      float v;
      if (x < box[6] || !object.inside(y0 + row, x, v)) continue;
      const double u = (double)(x - object.left) - cx;
      double w = weighted ? v : 1.0f;
#pragma unroll
      for (int q = 0; q < ORDERS; q++) {
        sum[q] += w;
        w *= u;
      }
    }
#pragma unroll
    for (int q = 0; q < ORDERS; q++) {
      sum[q] = warp_reduce(sum[q], Sum());
      if (threadIdx.x % WARP == 0) sums[row * ORDERS + q] = sum[q];
    }
  }
  __syncthreads();
  if (threadIdx.x < ORDERS * ORDERS) {
    const int p = threadIdx.x / ORDERS, q = threadIdx.x % ORDERS;
    double sum = 0.0;
#pragma unroll 1
    for (int row = 0; row < height; row++) {
      const double v = (double)(y0 - object.top + row) - cy;
      double w = sums[row * ORDERS + q];
      for (int k = 0; k < p; k++) w *= v;
      sum += w;
    }
    found[p][q] = sum;
  }
  __syncthreads();
}

__device__ void normalize(const double (*mu)[ORDERS], int p, int q, double (*nu)[ORDERS]) {
  const double mass = mu[0][0];
  double power = mass;
  for (int k = 0; k < (p + q) / 2; k++) power *= mass;
  const double root = mass > 0.0 ? sqrt(mass) : __longlong_as_double(0x7ff8000000000000ll);
  nu[p][q] = mu[p][q] / ((p + q) % 2 ? power * root : power);
}

__device__ void describe_hu(const double (*nu)[ORDERS], double* out) {
  const double s = nu[2][0] + nu[0][2], d = nu[2][0] - nu[0][2], n = nu[1][1];
  const double a = nu[3][0] + nu[1][2], b = nu[2][1] + nu[0][3];
  const double c = nu[3][0] - 3.0 * nu[1][2], e = 3.0 * nu[2][1] - nu[0][3];
  out[0] = s;
  out[1] = d * d + 4.0 * n * n;
  out[2] = c * c + e * e;
  out[3] = a * a + b * b;
  out[4] = c * a * (a * a - 3.0 * b * b) + e * b * (3.0 * a * a - b * b);
  out[5] = d * (a * a - b * b) + 4.0 * n * a * b;
  out[6] = e * a * (a * a - 3.0 * b * b) - c * b * (3.0 * a * a - b * b);
}

__device__ void describe_inertia(const double (*mu)[ORDERS], double* out) {
  const double a = mu[0][2] / mu[0][0], b = -mu[1][1] / mu[0][0], c = mu[2][0] / mu[0][0];
  const double middle = (a + c) / 2.0, half = (a - c) / 2.0;
  const double apart = sqrt(half * half + b * b);
  out[0] = a;
  out[1] = out[2] = b;
  out[3] = c;
  out[4] = middle + apart;
  out[5] = fmax(middle - apart, 0.0);
}

struct Matrices {
  double raw[ORDERS][ORDERS], mu[ORDERS][ORDERS], nu[ORDERS][ORDERS];
};

// The moments of one weight; those that the object has not are NaN.
__device__ void describe_weight(const Object& object, bool weighted, double* sums, Matrices& m,
                                double* out) {
  const int p = threadIdx.x / ORDERS, q = threadIdx.x % ORDERS;
  add_up(object, weighted, 0.0, 0.0, sums, m.raw);
  const double mass = m.raw[0][0];
  if (threadIdx.x < SPATIAL) out[threadIdx.x] = m.raw[p][q];
  if (mass == 0.0) {
    if (threadIdx.x >= SPATIAL && threadIdx.x < OF_WEIGHT)
      out[threadIdx.x] = __longlong_as_double(0x7ff8000000000000ll);
    __syncthreads();
    return;
  }
  add_up(object, weighted, m.raw[1][0] / mass, m.raw[0][1] / mass, sums, m.mu);
  if (threadIdx.x < SPATIAL) out[SPATIAL + threadIdx.x] = m.mu[p][q];
  if (p < ORDERS) {
    normalize(m.mu, p, q, m.nu);
    const int number = threadIdx.x - (p > 0 ? 3 : 2);  // 0 0, 0 1 and 1 0 are left out
    if (p + q > 1) out[2 * SPATIAL + number] = m.nu[p][q];
  }
  __syncthreads();
  if (threadIdx.x == 0) describe_hu(m.nu, out + OF_WEIGHT - 7);
  __syncthreads();
}

extern "C" __global__ void __launch_bounds__(256, 3)
measure(const PIXEL* __restrict__ images, const LABEL* __restrict__ labels,
        const int64* __restrict__ table, const int64* __restrict__ starts,
        double* __restrict__ sums, float* __restrict__ out, int regions, int h, int w) {
  __shared__ int scratch[WARPS];
  __shared__ Matrices matrices;
  __shared__ double features[FEATURES];
  for (int k = blockIdx.x; k < regions; k += gridDim.x) {
    const int64* box = table + k * 8;
    const uint64 image = (uint64)box[0] * h * w;
    float* row = out + (size_t)k * FEATURES;
    double* of_rows = sums + starts[k] * ORDERS;
    Object object = {images + image, labels + image, box, w, 0, 0};
    find_corner(object, scratch);
    if (object.top == box[5]) {
      if (threadIdx.x < FEATURES) row[threadIdx.x] = __int_as_float(0x7fc00000);
      continue;
    }
    describe_weight(object, false, of_rows, matrices, features);
    if (threadIdx.x == 0) describe_inertia(matrices.mu, features + OF_WEIGHT);
    __syncthreads();
    describe_weight(object, true, of_rows, matrices, features + OF_WEIGHT + 6);
    if (threadIdx.x < FEATURES) row[threadIdx.x] = features[threadIdx.x];
    __syncthreads();
  }
}

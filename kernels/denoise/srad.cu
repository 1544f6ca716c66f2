// Speckle reducing anisotropic diffusion: up to AT_ONCE iterations of a tile in shared memory. Its
// surroundings come along; of those one row above and two below turn wrong in every iteration, for
// what lies beyond is missing, and likewise columns.
#include "_cuda.cuh"

enum : int {
  THREADS = 256,
  BEFORE = AT_ONCE,
  AFTER = 2 * AT_ONCE,
  PATCH_ROWS = BEFORE + ROWS + AFTER,
  PATCH_COLUMNS = BEFORE + COLUMNS + AFTER,
  PATCH = PATCH_ROWS * PATCH_COLUMNS,
};

// b - a, or 0 where it is not finite or where nothing flows.
__device__ __forceinline__ float difference(float a, float b, bool open) {
  const float d = b - a;
  return open && fabsf(d) < __int_as_float(0x7f800000) ? d : 0.0f;
}

struct Place {
  int k, y, x, h, w;  // in the patch, and in the image
  bool north, south, west, east;

  __device__ Place(int k, int top, int left, int h, int w) : k(k), h(h), w(w) {
    const int j = k / PATCH_COLUMNS, i = k % PATCH_COLUMNS;
    y = top + j;
    x = left + i;
    north = j > 0 && y > 0;
    south = j < PATCH_ROWS - 1 && y < h - 1;
    west = i > 0 && x > 0;
    east = i < PATCH_COLUMNS - 1 && x < w - 1;
  }
};

struct Differences {
  float north, south, west, east;  // north and west: this pixel minus that one

  __device__ Differences(const float* image, const Place& at) {
    const float here = image[at.k];
    north = at.north ? difference(image[at.k - PATCH_COLUMNS], here, true) : 0.0f;
    south = at.south ? difference(here, image[at.k + PATCH_COLUMNS], true) : 0.0f;
    west = at.west ? difference(image[at.k - 1], here, true) : 0.0f;
    east = at.east ? difference(here, image[at.k + 1], true) : 0.0f;
  }
};

__device__ float conductance(float here, const Differences& d, float q02) {
  const float q04 = q02 * q02;
  const float laplacian = (d.south - d.north) + (d.east - d.west);
  const float squares =
      (d.south * d.south + d.north * d.north) + (d.east * d.east + d.west * d.west);
  const float q2 = 0.5f * squares - 0.0625f * (laplacian * laplacian);
  const float mean = here + 0.25f * laplacian;
  const float mean2 = mean * mean;
  const float top = LOG ? q02 : (q02 + q04) * mean2;
  const float bottom = LOG ? q2 : q2 + q04 * mean2;
  return top < bottom ? top / bottom : 1.0f;
}

// The pixels under the tile at (y, x): a warp a row, aligned steps of 32 pixels.
__device__ void load(float* patch, const SOURCE* image, int y, int x, int h, int w) {
  for (int j = threadIdx.x / WARP; j < PATCH_ROWS; j += THREADS / WARP) {
    const SOURCE* row = image + (uint64)clamp_index(y - BEFORE + j, h) * w;
    for (int i = threadIdx.x % WARP - WARP; i < COLUMNS + AFTER; i += WARP)
      if (i >= -BEFORE) patch[j * PATCH_COLUMNS + i + BEFORE] = (float)row[clamp_index(x + i, w)];
  }
  __syncthreads();
}

// One iteration, from image to next.
__device__ void iterate(const float* image, float* c, float* next, int y, int x, int h, int w,
                        float q02, float share) {
  for (int k = threadIdx.x; k < PATCH; k += THREADS)
    c[k] = conductance(image[k], Differences(image, Place(k, y - BEFORE, x - BEFORE, h, w)), q02);
  __syncthreads();
  for (int k = threadIdx.x; k < PATCH; k += THREADS) {
    const Place at(k, y - BEFORE, x - BEFORE, h, w);
    const Differences d(image, at);
    const float c_south = at.south ? c[k + PATCH_COLUMNS] : 0.0f;
    const float c_east = at.east ? c[k + 1] : 0.0f;
    const float down = c_south * d.south - c[k] * d.north;
    const float right = c_east * d.east - c[k] * d.west;
    next[k] = image[k] + share * (down + right);
  }
  __syncthreads();
}

extern "C" __global__ void __launch_bounds__(THREADS, 4)
    srad(const SOURCE* __restrict__ source, TARGET* __restrict__ target,
         const float* __restrict__ speckle, int n, int h, int w, float share, int iterations,
         float fade0, float fade1, float fade2, float fade3) {
  __shared__ float first[PATCH], second[PATCH], c[PATCH];
  const float fade[4] = {fade0, fade1, fade2, fade3};
  const int x = blockIdx.x * COLUMNS;
  for (int image = blockIdx.z; image < n; image += gridDim.z) {
    const float u = speckle[image];
    for (int y = blockIdx.y * ROWS; y < h; y += gridDim.y * ROWS) {
      float *now = first, *next = second;
      load(now, source + (uint64)image * h * w, y, x, h, w);
#pragma unroll
      for (int t = 0; t < AT_ONCE; t++)
        if (t < iterations && u > 0) {
          const float q0 = u * fade[t];
          iterate(now, c, next, y, x, h, w, q0 * q0, share);
          float* const other = now;
          now = next;
          next = other;
        }
      for (int k = threadIdx.x; k < ROWS * COLUMNS; k += THREADS) {
        const int j = k / COLUMNS, i = k % COLUMNS;
        if (y + j < h && x + i < w)
          set_pixel(target[((uint64)image * h + y + j) * w + x + i],
                    now[(BEFORE + j) * PATCH_COLUMNS + BEFORE + i]);
      }
      __syncthreads();
    }
  }
}

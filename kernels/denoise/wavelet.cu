// Wavelet shrinkage. The sums run in the order of _wavelet_cpu.py, so the bits are the same.
//
// forth       planes -> four bands: a tile in shared memory, columns, then rows
// forth_deep  the same along z, of all four bands
// energies    sum of squares of every row of coefficients, a warp a row
// limits      thresholds from them, a warp a band
// back_deep   inverse of forth_deep, the coefficients shrunk as they are read
// back        inverse of forth, likewise
// shares      sums of moved copies -> pixels
//
// Each call needs LENGTH and, where it filters, F and G: the taps of its two sums.
#include "_cuda.cuh"

enum : int {
  THREADS = 256,
  HALF = LENGTH / 2,
  DOWN = THREADS / WARP,  // coefficients of a tile
  ACROSS = 64,
};

__device__ bool finite(float x) { return fabsf(x) < __int_as_float(0x7f800000); }

__device__ float shrunk(float value, float limit, bool hard) {
  if (hard) return fabsf(value) >= limit ? value : 0.0f;
  return fmaxf(value - limit, 0.0f) + fminf(value + limit, 0.0f);
}

// The sums of _wavelet_cpu.py over samples 0 .. LENGTH - 1.
template <typename Sample> __device__ __forceinline__ void add(Sample sample, float& p, float& q) {
#ifdef F
  const float f[LENGTH] = {F}, g[LENGTH] = {G};
  p = q = 0.0f;
#pragma unroll
  for (int j = 0; j < LENGTH; j++) {
    const float value = sample(j);
    p += f[j] * value;
    q += g[j] * value;
  }
#endif
}

// Where the pixel i of an axis of n, moved by `shift` and then mirrored, comes from.
__device__ int place(int i, int n, int shift) {
  return reflect_index(reflect_index(i, n + shift) - shift, n);
}

#ifdef PIXEL

// Images of d slices, `stride` pixels apart, moved -> (n, slices, 4, rows, columns).
extern "C" __global__ void __launch_bounds__(THREADS, 4)
    forth(const PIXEL* __restrict__ images, float* __restrict__ bands, int n, int d, int h, int w,
          uint64 stride, int slices, int rows, int columns, int shift_z, int shift_y,
          int shift_x) {
  enum : int { HIGH = 2 * DOWN + LENGTH - 2, WIDE = 2 * ACROSS + LENGTH - 2, PART = 80 };
  __shared__ float tile[HIGH][WIDE];
  __shared__ float middle[2][DOWN][2][PART];  // low and high; odd and even columns
  const int x = blockIdx.x * ACROSS, y = blockIdx.y * DOWN;
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  for (int plane = blockIdx.z; plane < n * slices; plane += gridDim.z) {
    const int z = place(plane % slices, d, shift_z);
    const PIXEL* image = images + (plane / slices) * stride + (uint64)z * h * w;
    for (int row = warp; row < HIGH; row += THREADS / WARP) {
      const int from_y = place(2 * y + 2 - LENGTH + row, h, shift_y);
      for (int column = lane; column < WIDE; column += WARP) {
        const int from_x = place(2 * x + 2 - LENGTH + column, w, shift_x);
        const float value = (float)image[(uint64)from_y * w + from_x];
        tile[row][column] = finite(value) ? value : 0.0f;
      }
    }
    __syncthreads();
    for (int column = lane; column < WIDE; column += WARP)  // DOWN warps: a row each
      add([&](int j) { return tile[2 * warp + LENGTH - 1 - j][column]; },
          middle[0][warp][column % 2][column / 2], middle[1][warp][column % 2][column / 2]);
    __syncthreads();
    for (int k = threadIdx.x; k < 2 * DOWN * ACROSS; k += THREADS) {
      const int v = k / (DOWN * ACROSS), row = k / ACROSS % DOWN, column = k % ACROSS;
      float low, high;
      add([&](int j) { return middle[v][row][(j + 1) % 2][column + HALF - 1 - j / 2]; }, low, high);
      if (y + row < rows && x + column < columns) {
        float* out = bands + (((uint64)plane * 4 + 2 * v) * rows + y + row) * columns + x + column;
        out[0] = low;
        out[(uint64)rows * columns] = high;
      }
    }
    __syncthreads();
  }
}

// (n, d, 4, rows, columns), shrunk -> images of d slices, `stride` pixels apart. With `sums` the
// result, moved back, is added there instead; pixels that are not finite pass through.
extern "C" __global__ void __launch_bounds__(THREADS)
    back(const float* __restrict__ bands, const float* __restrict__ limits, int kinds, bool hard,
         const PIXEL* __restrict__ origin, PIXEL* __restrict__ images, float* __restrict__ sums,
         int n, int d, int h, int w, uint64 stride, int rows, int columns, int shift_z, int shift_y,
         int shift_x) {
  enum : int { HIGH = DOWN + HALF - 1, WIDE = ACROSS + HALF - 1 };
  __shared__ float tile[4][HIGH][WIDE];
  __shared__ float2 middle[2][HIGH][ACROSS];  // low and high; an even and an odd column
  const int x = blockIdx.x * ACROSS, y = blockIdx.y * DOWN;
  for (int plane = blockIdx.z; plane < n * d; plane += gridDim.z) {
    const int i = plane / d, z = plane % d - shift_z;
    for (int k = threadIdx.x; k < 4 * HIGH * WIDE; k += THREADS) {
      const int band = k / (HIGH * WIDE), row = k / WIDE % HIGH, column = k % WIDE;
      float value = 0.0f;
      if (y + row < rows && x + column < columns)
        value = bands[(((uint64)plane * 4 + band) * rows + y + row) * columns + x + column];
      const float limit = limits == nullptr ? 0.0f : limits[i * kinds + band];
      tile[band][row][column] = shrunk(value, limit, hard);
    }
    __syncthreads();
    for (int k = threadIdx.x; k < 2 * HIGH * ACROSS; k += THREADS) {
      const int v = k / (HIGH * ACROSS), row = k / ACROSS % HIGH, column = k % ACROSS;
      float2 pair;
      add([&](int j) { return tile[2 * v + j % 2][row][column + j / 2]; }, pair.x, pair.y);
      middle[v][row][column] = pair;
    }
    __syncthreads();
    for (int k = threadIdx.x; k < DOWN * 2 * ACROSS; k += THREADS) {
      const int row = k / (2 * ACROSS), column = k % (2 * ACROSS);
      float value[2];
      add([&](int j) { return ((const float*)middle[j % 2][row + j / 2])[column]; }, value[0],
          value[1]);
#pragma unroll
      for (int odd = 0; odd < 2; odd++) {
        const int to_y = 2 * (y + row) + odd - shift_y, to_x = 2 * x + column - shift_x;
        if (z < 0 || to_y < 0 || to_x < 0 || to_y >= h - shift_y || to_x >= w - shift_x) continue;
        const uint64 at =
            i * stride + ((uint64)z * (h - shift_y) + to_y) * (w - shift_x) + to_x;
        if (sums != nullptr) {
          sums[at] += value[odd];
        } else {
          const bool passes = origin != nullptr && !finite((float)origin[at]);
          set_pixel(images[at], passes ? (float)origin[at] : value[odd]);
        }
      }
    }
    __syncthreads();
  }
}

extern "C" __global__ void __launch_bounds__(THREADS)
    shares(const PIXEL* __restrict__ origin, const float* __restrict__ sums, float count,
           PIXEL* __restrict__ images, uint64 pixels) {
  for (uint64 k = (uint64)blockIdx.x * THREADS + threadIdx.x; k < pixels;
       k += (uint64)gridDim.x * THREADS) {
    const float here = (float)origin[k];
    set_pixel(images[k], finite(here) ? sums[k] / count : here);
  }
}

#endif

// (n, d, 4, rows, columns) -> (n, 2, 4, deep, rows, columns)
extern "C" __global__ void __launch_bounds__(THREADS)
    forth_deep(const float* __restrict__ planes, float* __restrict__ bands, int n, int d, int deep,
               uint64 area) {
  const uint64 x = (uint64)blockIdx.x * THREADS + threadIdx.x;
  if (x >= area) return;
  for (int item = blockIdx.z; item < 4 * n; item += gridDim.z)
    for (int k = blockIdx.y; k < deep; k += gridDim.y) {
      const int i = item / 4, band = item % 4;
      float low, high;
      add(
          [&](int j) {
            const int z = reflect_index(2 * k + 1 - j, d);
            return planes[(((uint64)i * d + z) * 4 + band) * area + x];
          },
          low, high);
      float* out = bands + (((uint64)i * 8 + band) * deep + k) * area + x;
      out[0] = low;
      out[4 * deep * area] = high;
    }
}

// (n, 2, 4, deep, rows, columns), shrunk -> (n, d, 4, rows, columns)
extern "C" __global__ void __launch_bounds__(THREADS)
    back_deep(const float* __restrict__ bands, const float* __restrict__ limits, bool hard,
              float* __restrict__ planes, int n, int d, int deep, uint64 area) {
  const uint64 x = (uint64)blockIdx.x * THREADS + threadIdx.x;
  if (x >= area) return;
  for (int item = blockIdx.z; item < 4 * n; item += gridDim.z)
    for (int k = blockIdx.y; 2 * k < d; k += gridDim.y) {
      const int i = item / 4, band = item % 4;
      const float limit[2] = {limits[i * 8 + band], limits[i * 8 + 4 + band]};
      float even, odd;
      add(
          [&](int j) {
            const uint64 from = ((uint64)i * 8 + 4 * (j % 2) + band) * deep + k + j / 2;
            return shrunk(bands[from * area + x], limit[j % 2], hard);
          },
          even, odd);
      float* out = planes + (((uint64)i * d + 2 * k) * 4 + band) * area + x;
      out[0] = even;
      if (2 * k + 1 < d) out[4 * area] = odd;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
    energies(const float* __restrict__ coefficients, float* __restrict__ squares, uint64 rows,
             int columns) {
  const int lane = threadIdx.x % WARP;
  for (uint64 row = ((uint64)blockIdx.x * THREADS + threadIdx.x) / WARP; row < rows;
       row += (uint64)gridDim.x * THREADS / WARP) {
    float sum = 0.0f;
    for (int x = lane; x < columns; x += WARP) {
      const float value = coefficients[row * columns + x];
      sum += value * value;
    }
    sum = warp_reduce(sum, Sum());
    if (lane == 0) squares[row] = sum;
  }
}

#ifdef GAINS

// found (n, KINDS) from squares (n, KINDS, rows): see limits_of. A warp a band.
extern "C" __global__ void __launch_bounds__(THREADS)
    limits(const float* __restrict__ squares, const float* __restrict__ sigma,
           float* __restrict__ found, int items, int rows, float count, float factor) {
  enum : int { ITEMS = THREADS / WARP };
  __shared__ float sums[ITEMS];
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  for (int first = blockIdx.x * ITEMS; first < items; first += gridDim.x * ITEMS) {
    float sum = 0.0f;
    if (first + warp < items)
      for (int r = lane; r < rows; r += WARP) sum += squares[(uint64)(first + warp) * rows + r];
    sum = warp_reduce(sum, Sum());
    if (lane == 0) sums[warp] = sum;
    __syncthreads();
    const int item = first + threadIdx.x;
    if (threadIdx.x < ITEMS && item < items) {
      const float gains[KINDS] = {GAINS};
      float gain = 0.0f;
#pragma unroll
      for (int band = 1; band < KINDS; band++)
        if (item % KINDS == band) gain = gains[band];
      const float here = sigma[item / KINDS] * gain, noise = here * here;
      const float signal = sums[threadIdx.x] / count - noise;
      float limit = signal > 0.0f ? noise / sqrtf(signal) : 3e38f;
      if (factor > 0.0f) limit = factor * here;
      found[item] = item % KINDS == 0 ? 0.0f : limit;
    }
    __syncthreads();
  }
}

#endif

// Gabor filters in the frequency domain: transforms of 16 lines of a tile at a time, in shared
// memory, in the CPU code's order of operations. HIGH and WIDE are the sides of a tile, powers of 4,
// of which the outer `radius` pixels are left away; complex numbers stand as float2.
#include "_borders.cuh"

enum : int {
  LANES = 16,
  ALONG_X = 4 * WIDE < 256 ? 4 * WIDE : 256,  // threads
  ALONG_Y = 4 * HIGH < 256 ? 4 * HIGH : 256,
};

// Where pixel i of a line lies: neither 16 lines, nor 16 pixels that follow one another, nor 16
// that do so in reversed order, meet in a bank.
__device__ __forceinline__ int slot(int i, int lane) {
  return i * LANES + ((lane + i + i / LANES) & (LANES - 1));
}

// The digits of i to the base 4 from the last to the first.
template <int N> __device__ __forceinline__ int reversed(int i) {
  int order = 0;
#pragma unroll
  for (int side = N; side > 1; side /= 4, i /= 4) order = order * 4 + i % 4;
  return order;
}

__device__ __forceinline__ float2 times(float2 a, float2 w) {
  return make_float2(a.x * w.x - a.y * w.y, a.x * w.y + a.y * w.x);
}
__device__ __forceinline__ float2 sum(float2 a, float2 b) {
  return make_float2(a.x + b.x, a.y + b.y);
}
__device__ __forceinline__ float2 difference(float2 a, float2 b) {
  return make_float2(a.x - b.x, a.y - b.y);
}

// The Fourier transform of the lines, whose pixels come in reversed order.
template <int N> __device__ __forceinline__ void transform(float2* lines, const float2* roots) {
  for (int q = 1; q < N; q *= 4) {
    __syncthreads();
    for (int k = threadIdx.x; k < N / 4 * LANES; k += blockDim.x) {
      const int lane = k % LANES, j = k / LANES % q, i = k / LANES / q * 4 * q + j;
      const int w = N / (4 * q) * j;
      float2 *const a = lines + slot(i, lane), *const b = lines + slot(i + q, lane);
      float2 *const c = lines + slot(i + 2 * q, lane), *const d = lines + slot(i + 3 * q, lane);
      const float2 second = times(*b, roots[w]), third = times(*c, roots[2 * w]);
      const float2 fourth = times(*d, roots[3 * w]);
      const float2 s = sum(*a, third), t = difference(*a, third);
      const float2 x = sum(second, fourth), y = difference(second, fourth);
      *a = sum(s, x);
      *c = difference(s, x);
      *b = make_float2(t.x + y.y, t.y - y.x);
      *d = make_float2(t.x - y.y, t.y + y.x);
    }
  }
  __syncthreads();
}

__device__ __forceinline__ float2 swapped(float2 a) { return make_float2(a.y, a.x); }

// Where tile `item` lies: the first pixel of its image, and its own first row and column.
struct Place {
  uint64 image;
  int y, x;
};
__device__ __forceinline__ Place place_of(uint64 item, int down, int across, int high,
                                          int wide, uint64 volume, uint64 slices,
                                          uint64 between) {
  const uint64 image = item / across / down;
  return {image / slices * volume + image % slices * between,
          (int)(item / across % down) * high, (int)(item % across) * wide};
}

// Tiles of the images, transformed along x: 16 rows a block.
extern "C" __global__ void __launch_bounds__(ALONG_X)
    forward_rows(const PIXEL* __restrict__ pixels, float2* __restrict__ spectra,
                 const float2* __restrict__ table, uint64 first, int radius, int down, int across,
                 uint64 volume, uint64 slices, uint64 between, int rows, uint64 row, int columns,
                 uint64 column) {
  __shared__ float2 lines[WIDE * LANES], roots[WIDE];
  for (int k = threadIdx.x; k < WIDE; k += ALONG_X) roots[k] = table[k];
  const int groups = HIGH / LANES, top = blockIdx.x % groups * LANES;
  const int high = HIGH - 2 * radius, wide = WIDE - 2 * radius;
  const uint64 tile = blockIdx.x / groups;
  const Place at = place_of(first + tile, down, across, high, wide, volume, slices, between);
  for (int k = threadIdx.x; k < WIDE * LANES; k += ALONG_X) {
    const int i = k % WIDE, lane = k / WIDE;
    const int y = place(at.y - radius + top + lane, rows);
    const int x = place(at.x - radius + i, columns);
    const float value = y < 0 || x < 0 ? 0.0f : (float)pixels[at.image + y * row + x * column];
    const bool finite = fabsf(value) < __int_as_float(0x7f800000);
    lines[slot(reversed<WIDE>(i), lane)] = make_float2(finite ? value : 0.0f, 0.0f);
  }
  transform<WIDE>(lines, roots);
  float2* const target = spectra + (tile * HIGH + top) * WIDE;
  for (int k = threadIdx.x; k < WIDE * LANES; k += ALONG_X)
    target[k] = lines[slot(k % WIDE, k / WIDE)];
}

// Along y, 16 columns a block: the spectra of the tiles or, with gains, back from their products.
extern "C" __global__ void __launch_bounds__(ALONG_Y)
    columns_of_tiles(const float2* source, float2* target,
                     const float2* __restrict__ table, const float* __restrict__ gains) {
  __shared__ float2 lines[HIGH * LANES], roots[HIGH];
  for (int k = threadIdx.x; k < HIGH; k += ALONG_Y) roots[k] = table[k];
  const int groups = WIDE / LANES, left = blockIdx.x % groups * LANES;
  const uint64 begin = (uint64)(blockIdx.x / groups) * HIGH * WIDE + left;
  for (int k = threadIdx.x; k < HIGH * LANES; k += ALONG_Y) {
    const int i = k / LANES, lane = k % LANES;
    float2 value = source[begin + i * WIDE + lane];
    if (gains) {
      const float gain = gains[i * WIDE + left + lane];
      value = make_float2(gain * value.y, gain * value.x);
    }
    lines[slot(reversed<HIGH>(i), lane)] = value;
  }
  transform<HIGH>(lines, roots);
  for (int k = threadIdx.x; k < HIGH * LANES; k += ALONG_Y) {
    const int i = k / LANES, lane = k % LANES;
    const float2 value = lines[slot(i, lane)];
    target[begin + i * WIDE + lane] = gains ? swapped(value) : value;
  }
}

// Back along x, 16 rows a block; the moduli are added to out or compared with it.
extern "C" __global__ void __launch_bounds__(ALONG_X)
    backward_rows(const float2* __restrict__ products, float* __restrict__ out,
                  const float2* __restrict__ table, uint64 first, int radius, int down, int across,
                  uint64 volume, uint64 slices, uint64 between, int rows, uint64 row, int columns,
                  uint64 column, int largest) {
  __shared__ float2 lines[WIDE * LANES], roots[WIDE];
  for (int k = threadIdx.x; k < WIDE; k += ALONG_X) roots[k] = table[k];
  const int high = HIGH - 2 * radius, wide = WIDE - 2 * radius;
  const int groups = ceil_div(high, (int)LANES);
  const int top = blockIdx.x % groups * LANES;
  const uint64 tile = blockIdx.x / groups;
  const Place at = place_of(first + tile, down, across, high, wide, volume, slices, between);
  const float2* const source = products + (tile * HIGH + radius + top) * WIDE;
  for (int k = threadIdx.x; k < WIDE * LANES; k += ALONG_X)
    lines[slot(reversed<WIDE>(k % WIDE), k / WIDE)] =
        k / WIDE < high - top ? swapped(source[k]) : make_float2(0.0f, 0.0f);
  transform<WIDE>(lines, roots);
  for (int k = threadIdx.x; k < WIDE * LANES; k += ALONG_X) {
    const int i = k % WIDE, lane = k / WIDE, y = at.y + top + lane, x = at.x + i;
    if (i >= wide || lane >= high - top || y >= rows || x >= columns) continue;
    const float2 value = lines[slot(radius + i, lane)];
    const float fresh = sqrtf(value.y * value.y + value.x * value.x);
    float* const pooled = out + at.image + y * row + x * column;
    const float old = *pooled;
    if (largest)
      *pooled = fresh <= old || old != old ? old : fresh;
    else
      *pooled = old + fresh;
  }
}

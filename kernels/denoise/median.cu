// Median over a square window. A block of 256 threads computes a tile of TILE_COLUMNS x TILE_ROWS
// pixels; the pixels under it, borders clamped, lie in shared memory as keys: unsigned integers of
// the pixel's width in the order of the pixels. Thread t works on column t % TILE_COLUMNS.
//
// median_network    NETWORK is a list of INPUT, EXCHANGE and OUTPUT, made from the network that the
//                   CPU runs: the medians of two pixels above each other, in registers
// median_bisection  finds the bits of the median from the top: the largest key with no more than
//                   half of the window below it
#include "_cuda.cuh"

enum : int {
  THREADS = 256,
  TILE_ROWS = 16,
  SIDE = 2 * RADIUS + 1,
  PATCH_ROWS = TILE_ROWS + 2 * RADIUS,
  PATCH_COLUMNS = TILE_COLUMNS + 2 * RADIUS,
  GROUPS = THREADS / TILE_COLUMNS,  // threads of one column
};

template <int BYTES> struct Unsigned;
template <> struct Unsigned<1> { using type = uint8; };
template <> struct Unsigned<2> { using type = uint16; };
template <> struct Unsigned<4> { using type = uint32; };
using Key = Unsigned<sizeof(PIXEL)>::type;

__device__ uint8 key_of(uint8 pixel) { return pixel; }
__device__ uint16 key_of(uint16 pixel) { return pixel; }
__device__ uint16 key_of(short pixel) { return pixel ^ 0x8000; }
__device__ uint32 key_of(float pixel) {
  return isnan(pixel) ? __float_as_uint(pixel) | 0x80000000u : float_to_key(pixel);
}
__device__ void pixel_of(uint32 key, uint8& pixel) { pixel = key; }
__device__ void pixel_of(uint32 key, uint16& pixel) { pixel = key; }
__device__ void pixel_of(uint32 key, short& pixel) { pixel = key ^ 0x8000; }
__device__ void pixel_of(uint32 key, float& pixel) { pixel = key_to_float(key); }

struct Patch {
  Key rows[PATCH_ROWS][PATCH_COLUMNS];

  // Warps take rows; their lanes start at multiples of 32 pixels of the tile, so that the loads are
  // aligned where the image's rows are. Ends with a barrier.
  __device__ void load(const PIXEL* image, int y, int x, int h, int w) {
    const int lane = threadIdx.x % WARP;
    for (int j = threadIdx.x / WARP; j < PATCH_ROWS; j += THREADS / WARP) {
      const PIXEL* row = image + (uint64)clamp_index(y - RADIUS + j, h) * w;
#pragma unroll
      for (int start = -WARP; start < TILE_COLUMNS + RADIUS; start += WARP) {
        const int i = start + lane;
        if (-RADIUS <= i && i < TILE_COLUMNS + RADIUS)
          rows[j][i + RADIUS] = key_of(row[clamp_index(x + i, w)]);
      }
    }
    __syncthreads();
  }
};

// For every tile of the batch: the patch is loaded, and `median` called with the image of the
// tile's result.
#define FOR_EACH_TILE(image, y)                                          \
  const int x = blockIdx.x * TILE_COLUMNS;                               \
  const int column = threadIdx.x % TILE_COLUMNS;                         \
  const int group = threadIdx.x / TILE_COLUMNS;                          \
  for (int image = blockIdx.z; image < n; image += gridDim.z)            \
    for (int y = blockIdx.y * TILE_ROWS; y < h; y += gridDim.y * TILE_ROWS)

__device__ void store(PIXEL* out, uint64 image, int y, int x, int h, int w, uint32 key) {
  if (y < h && x < w) pixel_of(key, out[(image * h + y) * w + x]);
}

#ifdef NETWORK
#define INPUT(name, j, i) const uint32 name = window[j * PATCH_COLUMNS + i];
#define EXCHANGE(low, high, a, b) const uint32 low = min(a, b), high = max(a, b);
#define OUTPUT(j, name) store(out, image, y + row + j, x + column, h, w, name);

extern "C" __global__ void __launch_bounds__(THREADS)
    median_network(const PIXEL* __restrict__ images, PIXEL* __restrict__ out, int n, int h, int w) {
  __shared__ Patch patch;
  FOR_EACH_TILE(image, y) {
    patch.load(images + (uint64)image * h * w, y, x, h, w);
    const int rows = x + column < w ? min(TILE_ROWS, h - y) : 0;
    for (int row = 2 * group; row < rows; row += 2 * GROUPS) {
      const Key* window = &patch.rows[row][column];
      NETWORK
    }
    __syncthreads();
  }
}
#else

struct Or {
  __device__ uint32 operator()(uint32 a, uint32 b) const { return a | b; }
};

// The bits in which keys of the patch differ; all threads take part.
__device__ uint32 differing_bits(const Patch& patch) {
  __shared__ uint32 scratch[THREADS / WARP];
  const Key* keys = &patch.rows[0][0];
  uint32 differing = 0;
  for (int i = threadIdx.x; i < PATCH_ROWS * PATCH_COLUMNS; i += THREADS)
    differing |= keys[i] ^ keys[0];
  return block_reduce(differing, scratch, Or());
}

enum : int { TOGETHER = 4 };  // pixels above each other, which share the reads of shared memory

extern "C" __global__ void __launch_bounds__(THREADS)
    median_bisection(const PIXEL* __restrict__ images, PIXEL* __restrict__ out, int n, int h,
                     int w) {
  __shared__ Patch patch;
  FOR_EACH_TILE(image, y) {
    patch.load(images + (uint64)image * h * w, y, x, h, w);
    const int bits = 32 - __clz(differing_bits(patch));
    const uint32 common = (uint64)patch.rows[0][0] >> bits << bits;
    const int rows = x + column < w ? min(TILE_ROWS, h - y) : 0;
    for (int row = TOGETHER * group; row < rows; row += TOGETHER * GROUPS) {
      uint32 key[TOGETHER], limit[TOGETHER];
      for (int p = 0; p < TOGETHER; p++) key[p] = common;
      for (int bit = bits - 1; bit >= 0; bit--) {
        int below[TOGETHER] = {};
        for (int j = 0; j < SIDE + TOGETHER - 1; j++) {
#pragma unroll
          for (int p = 0; p < TOGETHER; p++)  // no key is below 0: a row outside the window
            limit[p] = p <= j && j < p + SIDE ? key[p] | 1u << bit : 0;
          const Key* window = &patch.rows[row + j][column];
          for (int i = 0; i < SIDE; i++) {
            const uint32 value = window[i];
#pragma unroll
            for (int p = 0; p < TOGETHER; p++) below[p] += value < limit[p];
          }
        }
#pragma unroll
        for (int p = 0; p < TOGETHER; p++)
          if (below[p] <= SIDE * SIDE / 2) key[p] |= 1u << bit;
      }
      for (int p = 0; p < TOGETHER; p++)
        store(out, image, y + row + p, x + column, h, w, key[p]);
    }
    __syncthreads();
  }
}
#endif

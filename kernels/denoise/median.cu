// Median over a square window. A block of 256 threads computes a tile of TILE_COLUMNS x TILE_ROWS
// pixels; the pixels under it, borders clamped, lie in shared memory as keys: unsigned integers of
// the pixel's width in the order of the pixels. Thread t works on column t % TILE_COLUMNS.
//
// median_network    NETWORK is a list of INPUT, EXCHANGE and OUTPUT, made from the network that the
//                   CPU runs: the medians of ROWS pixels above each other, in registers
// median_bisection  finds the bits of the median from the top: the largest key with no more than
//                   half of the window below it
#include "_cuda.cuh"

enum : int {
  THREADS = 256,
  SIDE = 2 * RADIUS + 1,
  PATCH_ROWS = TILE_ROWS + 2 * RADIUS,
  PATCH_COLUMNS = TILE_COLUMNS + 2 * RADIUS,
  GROUPS = THREADS / TILE_COLUMNS,  // threads that share a column
  RESIDENT = 4,  // blocks a multiprocessor: at most 64 registers a thread
};

// ---- keys

template <int BYTES> struct Unsigned;
template <> struct Unsigned<1> { using type = uint8; };
template <> struct Unsigned<2> { using type = uint16; };
template <> struct Unsigned<4> { using type = uint32; };
using Key = Unsigned<sizeof(PIXEL)>::type;

__device__ uint8 key_of(uint8 pixel) { return pixel; }
__device__ uint16 key_of(uint16 pixel) { return pixel; }
__device__ uint16 key_of(short pixel) { return pixel ^ 0x8000; }
__device__ uint32 key_of(float pixel) {  // every NaN above +inf
  return isnan(pixel) ? __float_as_uint(pixel) | 0x80000000u : float_to_key(pixel);
}
__device__ void set_pixel(uint8& pixel, uint32 key) { pixel = key; }
__device__ void set_pixel(uint16& pixel, uint32 key) { pixel = key; }
__device__ void set_pixel(short& pixel, uint32 key) { pixel = key ^ 0x8000; }
__device__ void set_pixel(float& pixel, uint32 key) { pixel = key_to_float(key); }

// ---- tiles

struct Patch {
  Key rows[PATCH_ROWS][PATCH_COLUMNS];

  // The pixels under the tile at (y, x), by all threads. A warp takes a row in steps of 32 pixels
  // from the tile's first, the same step for all its lanes: aligned where the image's rows are.
  __device__ void load(const PIXEL* image, int y, int x, int h, int w) {
    const int lane = threadIdx.x % WARP;
    for (int j = threadIdx.x / WARP; j < PATCH_ROWS; j += THREADS / WARP) {
      const PIXEL* row = image + (uint64)clamp_index(y - RADIUS + j, h) * w;
#pragma unroll 2
      for (int start = -WARP; start < TILE_COLUMNS + RADIUS; start += WARP) {
        const int i = start + lane;
        if (-RADIUS <= i && i < TILE_COLUMNS + RADIUS)
          rows[j][i + RADIUS] = key_of(row[clamp_index(x + i, w)]);
      }
    }
    __syncthreads();
  }
};

// What a thread has to write: `rows` pixels from `out` downwards, in an image of width w. It shares
// the column with others: it takes tiles number group, group + GROUPS, ...
struct Column {
  PIXEL* out;
  int x, group, rows, w;

  __device__ void store(int row, uint32 key) const {
    if (row < rows) set_pixel(out[(uint64)row * w], key);
  }
};

// Calls medians(patch, column) with all threads for every tile of the batch.
template <typename Medians>
__device__ void for_each_tile(const PIXEL* images, PIXEL* out, int n, int h, int w,
                              Medians medians) {
  __shared__ Patch patch;
  const int x = blockIdx.x * TILE_COLUMNS;
  Column column = {nullptr, (int)threadIdx.x % TILE_COLUMNS, (int)threadIdx.x / TILE_COLUMNS, 0, w};
  for (int image = blockIdx.z; image < n; image += gridDim.z)
    for (int y = blockIdx.y * TILE_ROWS; y < h; y += gridDim.y * TILE_ROWS) {
      const uint64 first = (uint64)image * h * w;
      patch.load(images + first, y, x, h, w);
      column.out = out + first + (uint64)y * w + x + column.x;
      column.rows = x + column.x < w ? min(TILE_ROWS, h - y) : 0;
      medians(patch, column);
      __syncthreads();
    }
}

#ifdef NETWORK

#define INPUT(name, j, i) const uint32 name = patch.rows[row + j][column.x + i];
#define EXCHANGE(low, high, a, b) const uint32 low = min(a, b), high = max(a, b);
#define OUTPUT(j, name) column.store(row + j, name);

extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
    median_network(const PIXEL* __restrict__ images, PIXEL* __restrict__ out, int n, int h, int w) {
  for_each_tile(images, out, n, h, w, [](const Patch& patch, const Column& column) {
    for (int row = ROWS * column.group; row < column.rows; row += ROWS * GROUPS) {
      NETWORK
    }
  });
}

#else

struct Or {
  __device__ uint32 operator()(uint32 a, uint32 b) const { return a | b; }
};

// The bits in which keys of the patch differ.
__device__ uint32 differing_bits(const Patch& patch) {
  __shared__ uint32 scratch[THREADS / WARP];
  const Key* keys = &patch.rows[0][0];
  uint32 differing = 0;
  for (int i = threadIdx.x; i < PATCH_ROWS * PATCH_COLUMNS; i += THREADS)
    differing |= keys[i] ^ keys[0];
  return block_reduce(differing, scratch, Or());
}

// How many pixels of the window of each of ROWS pixels above each other, the first at `row` of the
// tile, are below its limit. The windows overlap: a pixel is read once and compared ROWS times.
__device__ void count_below(const Patch& patch, int row, int x, const uint32 (&limit)[ROWS],
                            int (&below)[ROWS]) {
  for (int j = 0; j < SIDE + ROWS - 1; j++) {
    uint32 here[ROWS];  // no key is below 0: rows outside a window count nothing
#pragma unroll
    for (int p = 0; p < ROWS; p++) here[p] = p <= j && j < p + SIDE ? limit[p] : 0;
    const Key* keys = &patch.rows[row + j][x];
    for (int i = 0; i < SIDE; i++) {
      const uint32 key = keys[i];
#pragma unroll
      for (int p = 0; p < ROWS; p++) below[p] += key < here[p];
    }
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
    median_bisection(const PIXEL* __restrict__ images, PIXEL* __restrict__ out, int n, int h,
                     int w) {
  for_each_tile(images, out, n, h, w, [](const Patch& patch, const Column& column) {
    const int bits = WARP - __clz(differing_bits(patch));
    const uint32 common = (uint64)patch.rows[0][0] >> bits << bits;
    for (int row = ROWS * column.group; row < column.rows; row += ROWS * GROUPS) {
      uint32 median[ROWS], limit[ROWS];
      for (int p = 0; p < ROWS; p++) median[p] = common;
      for (int bit = bits - 1; bit >= 0; bit--) {
        int below[ROWS] = {};
        for (int p = 0; p < ROWS; p++) limit[p] = median[p] | 1u << bit;
        count_below(patch, row, column.x, limit, below);
        for (int p = 0; p < ROWS; p++)
          if (below[p] <= SIDE * SIDE / 2) median[p] = limit[p];
      }
      for (int p = 0; p < ROWS; p++) column.store(row + p, median[p]);
    }
  });
}

#endif

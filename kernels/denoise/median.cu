// Median over a square or cubic window that is not large. A block of 256 threads computes a tile of
// TILE_COLUMNS x TILE_ROWS pixels of a slice; the keys of the pixels under it, borders clamped, DEEP
// slices of them, lie in shared memory. Thread t works on column t % TILE_COLUMNS.
//
// median_network    NETWORK is a list of INPUT, EXCHANGE and OUTPUT, made from the network that the
//                   CPU runs: the medians of ROWS pixels above each other, in registers
// median_bisection  finds the bits of the median from the top: the largest key with no more than
//                   half of the window below it
enum : int {
  THREADS = 256,
  PATCH_ROWS = TILE_ROWS + 2 * RADIUS,
  PATCH_COLUMNS = TILE_COLUMNS + 2 * RADIUS,
  GROUPS = THREADS / TILE_COLUMNS,  // threads that share a column
  RESIDENT = 4,  // blocks a multiprocessor: at most 64 registers a thread
};

struct Patch {
  Key slices[DEEP][PATCH_ROWS][PATCH_COLUMNS];

  // The pixels under the tile at (z, y, x), by all threads. A warp takes a row in steps of 32 pixels
  // from the tile's first, the same step for all its lanes: aligned where the image's rows are.
  __device__ void load(const PIXEL* volume, int z, int y, int x, int d, int h, int w) {
    const int lane = threadIdx.x % WARP;
    for (int line = threadIdx.x / WARP; line < DEEP * PATCH_ROWS; line += THREADS / WARP) {
      const int k = line / PATCH_ROWS, j = line % PATCH_ROWS;
      const uint64 plane = clamp_index(z - DEEP / 2 + k, d);
      const PIXEL* row = volume + (plane * h + clamp_index(y - RADIUS + j, h)) * w;
#pragma unroll 2
      for (int start = -WARP; start < TILE_COLUMNS + RADIUS; start += WARP) {
        const int i = start + lane;
        if (-RADIUS <= i && i < TILE_COLUMNS + RADIUS)
          slices[k][j][i + RADIUS] = key_of(row[clamp_index(x + i, w)]);
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

// Calls medians(patch, column) with all threads for every tile of n volumes of d slices.
template <typename Medians>
__device__ void for_each_tile(const PIXEL* volumes, PIXEL* out, int n, int d, int h, int w,
                              Medians medians) {
  __shared__ Patch patch;
  const int x = blockIdx.x * TILE_COLUMNS;
  Column column = {nullptr, (int)threadIdx.x % TILE_COLUMNS, (int)threadIdx.x / TILE_COLUMNS, 0, w};
  for (int plane = blockIdx.z; plane < n * d; plane += gridDim.z)
    for (int y = blockIdx.y * TILE_ROWS; y < h; y += gridDim.y * TILE_ROWS) {
      patch.load(volumes + (uint64)(plane / d) * d * h * w, plane % d, y, x, d, h, w);
      column.out = out + ((uint64)plane * h + y) * w + x + column.x;
      column.rows = x + column.x < w ? min(TILE_ROWS, h - y) : 0;
      medians(patch, column);
      __syncthreads();
    }
}

#ifdef NETWORK

#define INPUT(name, k, j, i) const uint32 name = patch.slices[k][row + j][column.x + i];
#define EXCHANGE(low, high, a, b) const uint32 low = min(a, b), high = max(a, b);
#define OUTPUT(j, name) column.store(row + j, name);

extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
    median_network(const PIXEL* __restrict__ volumes, PIXEL* __restrict__ out, int n, int d, int h,
                   int w) {
  for_each_tile(volumes, out, n, d, h, w, [](const Patch& patch, const Column& column) {
    for (int row = ROWS * column.group; row < column.rows; row += ROWS * GROUPS) {
      NETWORK
    }
  });
}

#else

// The bits in which keys of the patch differ.
__device__ uint32 differing_bits(const Patch& patch) {
  __shared__ uint32 scratch[THREADS / WARP];
  const Key* keys = &patch.slices[0][0][0];
  uint32 differing = 0;
  for (int i = threadIdx.x; i < DEEP * PATCH_ROWS * PATCH_COLUMNS; i += THREADS)
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
    for (int k = 0; k < DEEP; k++) {
      const Key* keys = &patch.slices[k][row + j][x];
      for (int i = 0; i < SIDE; i++) {
        const uint32 key = keys[i];
#pragma unroll
        for (int p = 0; p < ROWS; p++) below[p] += key < here[p];
      }
    }
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
    median_bisection(const PIXEL* __restrict__ volumes, PIXEL* __restrict__ out, int n, int d,
                     int h, int w) {
  for_each_tile(volumes, out, n, d, h, w, [](const Patch& patch, const Column& column) {
    const int bits = WARP - __clz(differing_bits(patch));
    const uint32 common = (uint64)patch.slices[0][0][0] >> bits << bits;
    for (int row = ROWS * column.group; row < column.rows; row += ROWS * GROUPS) {
      uint32 median[ROWS], limit[ROWS];
      for (int p = 0; p < ROWS; p++) median[p] = common;
      for (int bit = bits - 1; bit >= 0; bit--) {
        int below[ROWS] = {};
        for (int p = 0; p < ROWS; p++) limit[p] = median[p] | 1u << bit;
        count_below(patch, row, column.x, limit, below);
        for (int p = 0; p < ROWS; p++)
          if (below[p] <= DEEP * SIDE * SIDE / 2) median[p] = limit[p];
      }
      for (int p = 0; p < ROWS; p++) column.store(row + p, median[p]);
    }
  });
}

#endif

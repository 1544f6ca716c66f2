// Contrast limited adaptive histogram equalisation; LEVELS = 2**bits grey levels.
//
// clahe_tables  a block a tile: histogram in shared memory, clipping, cumulative sum, table. More
//               than BINS grey levels do not fit the 48 KB that every card has, so they are taken
//               BINS at a time, each time over all pixels of the tile (from the L2 cache)
// clahe_pixels  a thread a pixel: four table look-ups and the bilinear interpolation
#include "_cuda.cuh"

enum : int {
  THREADS = 256,
  WARPS = THREADS / WARP,
  BINS = LEVELS < 8192 ? LEVELS : 8192,
  COPIES = BINS <= 1024 ? WARPS : 1,  // a histogram a warp, while they are small: fewer collisions
  COLUMNS = 64,                       // of the patch that a block of clahe_pixels computes
  ROWS = 32,
};

// a b c d | c b a b c ..   (i >= 0)
__device__ __forceinline__ int mirror_index(int i, int n) {
  if (i < n) return i;
  i %= max(2 * (n - 1), 1);
  return min(i, 2 * (n - 1) - i);
}

struct Tile {
  const PIXEL* image;
  int y, x, height, width, h, w;

  // A warp takes a row, with the part beyond the border mirrored.
  template <typename Function> __device__ void for_each_pixel(Function function) const {
    for (int j = threadIdx.x / WARP; j < height; j += WARPS) {
      const PIXEL* row = image + (uint64)mirror_index(y + j, h) * w;
      for (int i = threadIdx.x % WARP; i < width; i += WARP)
        function(min((int)row[mirror_index(x + i, w)], LEVELS - 1));
    }
  }
};

// counts[0 .. BINS - 1] <- pixels of the tile with the grey levels start .. start + BINS - 1.
__device__ void count(const Tile& tile, int start, uint32* counts) {
  for (int k = threadIdx.x; k < COPIES * BINS; k += THREADS) counts[k] = 0;
  __syncthreads();
  uint32* mine = counts + threadIdx.x / WARP % COPIES * BINS;
  tile.for_each_pixel([=](int pixel) {
    const uint32 bin = pixel - start;
    if (bin < BINS) atomicAdd(mine + bin, 1u);
  });
  __syncthreads();
  if (COPIES == 1) return;
  for (int k = threadIdx.x; k < BINS; k += THREADS)
    for (int copy = 1; copy < COPIES; ++copy) counts[k] += counts[copy * BINS + k];
  __syncthreads();
}

extern "C" __global__ void __launch_bounds__(THREADS)
clahe_tables(const PIXEL* __restrict__ images, uint16* __restrict__ tables, int h, int w, int rows,
             int columns, int height, int width, uint32 limit, float scale) {
  __shared__ uint32 counts[COPIES * BINS];
  __shared__ uint32 scratch[WARPS];
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  const int row = blockIdx.x / columns % rows, column = blockIdx.x % columns;
  const int image = blockIdx.x / columns / rows;
  const Tile tile{images + (uint64)image * h * w, row * height, column * width,
                  height, width, h, w};

  // The grey levels that occur; the others need no counting.
  int low = 0, high = LEVELS - 1;
  if (BINS < LEVELS) {
    low = LEVELS - 1, high = 0;
    tile.for_each_pixel([&](int pixel) { low = min(low, pixel), high = max(high, pixel); });
    low = block_reduce(low, (int*)scratch, Min());
    high = block_reduce(high, (int*)scratch, Max());
  }

  uint32 excess = 0;
#pragma unroll 1
  for (int start = low / BINS * BINS; start <= high; start += BINS) {
    count(tile, start, counts);
    for (int k = threadIdx.x; k < BINS; k += THREADS)
      if (counts[k] > limit) excess += counts[k] - limit;
    __syncthreads();
  }
  excess = block_reduce(excess, scratch, Sum());
  const uint32 share = excess / LEVELS, remainder = excess % LEVELS;
  const uint32 step = LEVELS / max(remainder, 1u);

  // A warp takes BINS / WARPS neighbouring grey levels: first their sum, then the running sums.
  uint16* table = tables + (uint64)blockIdx.x * LEVELS;
  uint32 before = 0;  // clipped pixels of all grey levels below `start`
#pragma unroll 1
  for (int start = 0; start < LEVELS; start += BINS) {
    const bool occurs = start <= high && start + BINS > low;
    if (occurs && BINS < LEVELS) count(tile, start, counts);
    const int first = warp * (BINS / WARPS);
    uint32 sum = 0;
    for (int k = first + lane; k < first + BINS / WARPS; k += WARP)
      sum += occurs ? min(counts[k], limit) : 0;
    sum = warp_reduce(sum, Sum());
    if (lane == 0) scratch[warp] = sum;
    __syncthreads();
    uint32 total = before;
    for (int other = 0; other < WARPS; ++other) {
      if (other < warp) total += scratch[other];
      before += scratch[other];
    }
#pragma unroll 1
    for (int k = first + lane; k < first + BINS / WARPS; k += WARP) {
      const uint32 running = total + warp_scan(occurs ? min(counts[k], limit) : 0u);
      const uint32 level = start + k;
      const uint32 refilled = running + (level + 1) * share + min(level / step + 1, remainder);
      table[level] = __float2int_rn(__uint2float_rn(refilled) * scale);
      total = __shfl_sync(FULL_WARP, running, WARP - 1);
    }
    __syncthreads();
  }
}

// The tiles on both sides of a coordinate, and the weight of the second.
struct Between {
  int first, second;
  float weight;

  __device__ Between(int i, float inverse, int tiles) {
    const float at = i * inverse - 0.5f, before = floorf(at);
    weight = at - before;
    first = max((int)before, 0);
    second = min((int)before + 1, tiles - 1);
  }
};

extern "C" __global__ void __launch_bounds__(THREADS)
clahe_pixels(const PIXEL* __restrict__ images, PIXEL* __restrict__ out,
             const uint16* __restrict__ tables, int n, int h, int w, int rows, int columns,
             float inverse_height, float inverse_width) {
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  for (int image = blockIdx.z; image < n; image += gridDim.z)
    for (int top = blockIdx.y * ROWS; top < h; top += gridDim.y * ROWS)
      for (int x = blockIdx.x * COLUMNS + lane; x < min((blockIdx.x + 1) * COLUMNS, w); x += WARP) {
        const Between across(x, inverse_width, columns);
        for (int y = top + warp; y < min(top + ROWS, h); y += WARPS) {
          const Between down(y, inverse_height, rows);
          const uint64 at = ((uint64)image * h + y) * w + x;
          const int pixel = min((int)images[at], LEVELS - 1);
          const uint16* upper = tables + ((uint64)image * rows + down.first) * columns * LEVELS;
          const uint16* lower = tables + ((uint64)image * rows + down.second) * columns * LEVELS;
          const int left = across.first * LEVELS + pixel, right = across.second * LEVELS + pixel;
          const float above = upper[left] * (1 - across.weight) + upper[right] * across.weight;
          const float below = lower[left] * (1 - across.weight) + lower[right] * across.weight;
          out[at] = __float2int_rn(above * (1 - down.weight) + below * down.weight);
        }
      }
}

// What shape2d.py counts of every region: sums of coordinates, pixels of the outline, squares of
// four pixels and the ends of rows. Integers only, so that the values are those of the CPU.
// One block of 256 threads a region, a warp a row; blocks go on with region + gridDim.x.
// LABEL is the labels' type, or that of the images if BOXES = 1: regions are whole boxes. The
// label 0 stands for any other than 0.
#include "_information.cuh"

enum : int { SUMS = 10, COUNTS = 16 };  // in the order of _shape2d_features.py: sums first

struct Box {
  const LABEL* labels;
  int64 label;
  uint64 corner;  // number of the box's first pixel in the batch
  int h, w;       // of the box
  int width;      // of the images

  __device__ __forceinline__ int inside(int y, int x) const {
    if (y < 0 || x < 0 || y >= h || x >= w) return 0;
#if BOXES
    return 1;
#else
    const LABEL found = labels[corner + (uint64)y * width + x];
    return label == 0 ? found != 0 : found == label;
#endif
  }
  // Whether a pixel is inside and has a side on the outside.
  __device__ __forceinline__ int border(int y, int x) const {
    if (!inside(y, x)) return 0;
    return !(inside(y - 1, x) && inside(y + 1, x) && inside(y, x - 1) && inside(y, x + 1));
  }
};

__device__ __forceinline__ void add_moments(int64* sums, int64 y, int64 x) {
  sums[0] += 1;
  sums[1] += y;
  sums[2] += x;
  sums[3] += y * y;
  sums[4] += y * x;
  sums[5] += x * x;
  sums[6] += y * y * y;
  sums[7] += y * y * x;
  sums[8] += y * x * x;
  sums[9] += x * x * x;
}

__device__ __forceinline__ void add_perimeter(uint32* kinds, const Box& box, int y, int x) {
  int sides = 0, tips = 0;
#pragma unroll 1
  for (int k = 0; k < 9; k++) {
    if (k == 4) continue;
    const int found = box.border(y + k / 3 - 1, x + k % 3 - 1);
    if (k % 2) sides += found;
    else tips += found;
  }
  const int around = 1 + 2 * sides + 10 * tips;
  const int diagonal = around == 21 || around == 33, mixed = around == 13 || around == 23;
  const int far = around == 15 || around == 17 || around == 25 || around == 27;
  kinds[0] += around == 5 || around == 7 || far;
  kinds[1] += diagonal;
  kinds[2] += mixed;
}

extern "C" __global__ void __launch_bounds__(256)
count(const LABEL* __restrict__ labels, const int64* __restrict__ table,
      const int64* __restrict__ starts, int64* __restrict__ counts, int* __restrict__ ends,
      int regions, int h, int w, int rows) {
  __shared__ int64 scratch[8];
  const int lane = threadIdx.x % WARP;
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const int64* line = table + region * 8;
    const Box box = {labels, line[1], (uint64)((line[0] * h + line[4]) * w + line[6]),
                     (int)(line[5] - line[4]), (int)(line[7] - line[6]), w};
    int* ends_of = ends + starts[region];
    int64 sums[SUMS] = {};
    uint32 kinds[COUNTS - SUMS] = {};
    for (int y = (int)(threadIdx.x / WARP) - 1; y < box.h; y += blockDim.x / WARP) {
      int first = box.w, last = -1;
      for (int x = lane - 1; x < box.w; x += WARP) {
        const int here = box.inside(y, x), opposite = box.inside(y + 1, x + 1);
        const int total = here + box.inside(y, x + 1) + box.inside(y + 1, x) + opposite;
        kinds[3] += total == 1;
        kinds[4] += total == 3;
        kinds[5] += total == 2 && here == opposite;
        if (!here) continue;
        add_moments(sums, y, x);
        if (box.border(y, x)) add_perimeter(kinds, box, y, x);
        first = min(first, x);
        last = max(last, x);
      }
      first = warp_reduce(first, Min());
      last = warp_reduce(last, Max());
      if (lane == 0 && y >= 0) {
        ends_of[y] = first;
        ends_of[rows + y] = last;
      }
    }
#pragma unroll
    for (int k = 0; k < COUNTS; k++) {
      const int64 sum = block_reduce(k < SUMS ? sums[k] : (int64)kinds[k - SUMS], scratch, Sum());
      if (threadIdx.x == 0) counts[region * (uint64)COUNTS + k] = sum;
    }
  }
}

// Counting boxes of side 1, 2, 4, ...: see fractal.py and _boxes.py. Integers only, but for the
// number of a box in its column, a quotient in float64 as on the CPU.
// One block of 256 threads a region; blocks go on with region + gridDim.x. Boxes are kept in global
// memory, each size behind the one it is made of.
// LABEL is the labels' type, or that of the images if BOXES = 1: regions are whole boxes. The label
// 0 stands for any other than 0.
#include "_information.cuh"

enum : int { OUTLINE, REGION, COLUMNS, SQUARES, WHOLE, WHOLE_SQUARES, COUNTS };

struct Region {
  const PIXEL* image;   // of the box's first pixel
  const LABEL* labels;  // likewise
  int64 label;
  int h, w;   // of the box
  int width;  // of the images

  __device__ __forceinline__ float grey(int y, int x) const {
    return (float)image[(uint64)y * width + x];
  }
  __device__ __forceinline__ int inside(int y, int x) const {
    if (y < 0 || x < 0 || y >= h || x >= w) return 0;
    const int finite = fabsf(grey(y, x)) < __int_as_float(0x7f800000);
#if BOXES
    return finite;
#else
    const LABEL found = labels[(uint64)y * width + x];
    return finite && (label == 0 ? found != 0 : found == label);
#endif
  }
  __device__ __forceinline__ int outline(int y, int x) const {
    return !(inside(y - 1, x) && inside(y + 1, x) && inside(y, x - 1) && inside(y, x + 1));
  }
};

// Boxes of one size of a region: twice the pixels plus 1 with one of the outline, and the greys.
struct Boxes {
  uint32* mass;
  float *low, *high;
  int rows, columns;

  __device__ __forceinline__ int size() const { return rows * columns; }
};

struct Box {
  uint32 pixels = 0, edge = 0;
  float low = __int_as_float(0x7f800000), high = __int_as_float(0xff800000);

  __device__ __forceinline__ void add(uint32 mass, float least, float greatest) {
    pixels += mass >> 1;
    edge |= mass & 1;
    low = min(low, least);
    high = max(high, greatest);
  }
  __device__ __forceinline__ void store(const Boxes& boxes, int at) const {
    boxes.mass[at] = 2 * pixels + edge;
    boxes.low[at] = low;
    boxes.high[at] = high;
  }
};

struct Frame {
  int top, bottom, left, right;
};

// The box of the pixels that are inside: bottom <= top if there are none.
__device__ Frame frame_of(const Region& region, int* scratch) {
  Frame frame = {region.h, 0, region.w, 0};
  for (int at = threadIdx.x; at < region.h * region.w; at += blockDim.x) {
    const int y = at / region.w, x = at % region.w;
    if (!region.inside(y, x)) continue;
    frame = {min(frame.top, y), max(frame.bottom, y + 1), min(frame.left, x),
             max(frame.right, x + 1)};
  }
  frame.top = block_reduce(frame.top, scratch, Min());
  frame.bottom = block_reduce(frame.bottom, scratch, Max());
  frame.left = block_reduce(frame.left, scratch, Min());
  frame.right = block_reduce(frame.right, scratch, Max());
  return frame;
}

// The boxes of side 2; counts those of side 1.
__device__ void first_boxes(const Region& region, const Frame& frame, const Boxes& boxes,
                            int64* found, int64* scratch) {
  int64 edges = 0, inside = 0;
  for (int at = threadIdx.x; at < boxes.size(); at += blockDim.x) {
    const int y = frame.top + at / boxes.columns * 2, x = frame.left + at % boxes.columns * 2;
    Box box;
#pragma unroll 1
    for (int k = 0; k < 4; k++) {
      const int j = y + k / 2, i = x + k % 2;
      if (!region.inside(j, i)) continue;
      const int edge = region.outline(j, i);
      const float grey = region.grey(j, i);
      box.add(2 + edge, grey, grey);
      edges += edge;
      inside++;
    }
    box.store(boxes, at);
  }
  edges = block_reduce(edges, scratch, Sum());
  inside = block_reduce(inside, scratch, Sum());
  if (threadIdx.x == 0) {
    found[OUTLINE] = edges;
    found[REGION] = inside;
  }
  __syncthreads();
}

// Boxes of twice the side.
__device__ void merge(const Boxes& from, const Boxes& to) {
  for (int at = threadIdx.x; at < to.size(); at += blockDim.x) {
    const int y = at / to.columns * 2, x = at % to.columns * 2;
    Box box;
    for (int k = 0; k < 4; k++) {
      const int j = y + k / 2, i = x + k % 2, of = j * from.columns + i;
      if (j < from.rows && i < from.columns) box.add(from.mass[of], from.low[of], from.high[of]);
    }
    box.store(to, at);
  }
  __syncthreads();
}

struct Extent {
  float least, greatest;
};

__device__ Extent extent(const Boxes& boxes, float* scratch) {
  Box all;
  for (int at = threadIdx.x; at < boxes.size(); at += blockDim.x)
    all.add(0, boxes.low[at], boxes.high[at]);
  return {block_reduce(all.low, scratch, Min()), block_reduce(all.high, scratch, Max())};
}

// All counts of one size; the first rows and columns of boxes are whole.
__device__ void add_size(const Boxes& boxes, int whole_rows, int whole_columns, double origin,
                         double step, int64* found, int64* scratch) {
  int64 counts[COUNTS] = {};
  for (int at = threadIdx.x; at < boxes.size(); at += blockDim.x) {
    const int64 pixels = boxes.mass[at] >> 1;
    if (pixels == 0) continue;
    const double top = floor((boxes.high[at] - origin) / step);
    const double bottom = floor((boxes.low[at] - origin) / step);
    const int64 number = (int64)fmin(top - bottom + 1.0, 1048576.0);
    counts[OUTLINE] += boxes.mass[at] & 1;
    counts[REGION]++;
    counts[COLUMNS] += number;
    counts[SQUARES] += number * number;
    if (at / boxes.columns < whole_rows && at % boxes.columns < whole_columns) {
      counts[WHOLE] += pixels;
      counts[WHOLE_SQUARES] += pixels * pixels;
    }
  }
#pragma unroll
  for (int k = 0; k < COUNTS; k++) {
    const int64 sum = block_reduce(counts[k], scratch, Sum());
    if (threadIdx.x == 0) found[k] = sum;
  }
}

extern "C" __global__ void __launch_bounds__(256)
count(const PIXEL* __restrict__ images, const LABEL* __restrict__ labels,
      const int64* __restrict__ table, const int64* __restrict__ starts, uint32* __restrict__ mass,
      float* __restrict__ low, float* __restrict__ high, int64* __restrict__ counts,
      int64* __restrict__ sides, int regions, int height, int width, int sizes, double spread) {
  __shared__ int64 scratch[8];
  for (int k = blockIdx.x; k < regions; k += gridDim.x) {
    const int64* line = table + (uint64)k * 8;
    const uint64 corner = ((uint64)line[0] * height + line[4]) * width + line[6];
    const Region region = {images + corner, labels + corner, line[1], (int)(line[5] - line[4]),
                           (int)(line[7] - line[6]), width};
    const Frame frame = frame_of(region, (int*)scratch);
    const int h = max(frame.bottom - frame.top, 0), w = max(frame.right - frame.left, 0);
    int64* found = counts + (uint64)k * sizes * COUNTS;
    for (int at = threadIdx.x; at < sizes * COUNTS; at += blockDim.x) found[at] = 0;
    if (threadIdx.x == 0) {
      sides[2 * (uint64)k] = h;
      sides[2 * (uint64)k + 1] = w;
    }
    __syncthreads();
    if (h == 0) continue;
    const uint64 start = starts[k];
    Boxes boxes = {mass + start, low + start, high + start, (h + 1) / 2, (w + 1) / 2};
    first_boxes(region, frame, boxes, found, scratch);
    const Extent ends = extent(boxes, (float*)scratch);
    const double own = (double)ends.greatest - ends.least, range = spread > 0.0 ? spread : own;
    const double origin = spread > 0.0 ? 0.0 : ends.least;
    int side = 2;
    for (int size = 1; size < sizes && 2 * side <= max(h, w); size++, side *= 2) {
      const double step = range > 0.0 ? side * range / max(h, w) : 1.0;
      add_size(boxes, h / side, w / side, origin, step, found + size * COUNTS, scratch);
      const int cells = boxes.size();
      const Boxes next = {boxes.mass + cells, boxes.low + cells, boxes.high + cells,
                          (boxes.rows + 1) / 2, (boxes.columns + 1) / 2};
      merge(boxes, next);
      boxes = next;
    }
    __syncthreads();
  }
}

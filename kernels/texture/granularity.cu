// Granularity: see granularity.py and _granules.py. The background: a thread a sample. Erosion and
// reconstruction: a block of 256 threads an image, a thread a row or a column of it. Weights and
// means: a block a region. Blocks go on with index + gridDim.x. Sums are made in the CPU's order:
// of columns from above, then of these from the left.
// LABEL is the labels' type, or that of the images if BOXES = 1: regions are whole boxes. The label 0
// stands for any other than 0.
#include "_cuda.cuh"

using int64 = long long;

enum : int { THREADS = 256, NODE = 5 };  // columns of the table of boxes in the small image

struct Place {  // of a sample of an enlarged axis
  int below, above;
  double way;
};

__device__ __forceinline__ Place place(int i, double ratio, int last) {
  double at = i * ratio;
  at = at < 0.0 ? 0.0 : at;
  at = at > last ? last : at;
  const int below = (int)at;
  return {below, min(below + 1, last), at - below};
}

__device__ __forceinline__ double finite(PIXEL pixel) {
  const double v = pixel;
  return fabs(v) < (double)__int_as_float(0x7f800000) ? v : 0.0;
}

__device__ __forceinline__ bool in_disk(int j, int i, int radius) {
  return j * j + i * i <= radius * radius;
}

// ---- the background, samples `step` pixels apart

extern "C" __global__ void __launch_bounds__(256)
lowest(const PIXEL* __restrict__ images, double* __restrict__ low, int n, int h, int w, int rows,
       int columns, int step, int radius) {
  const int64 all = (int64)n * rows * columns;
  for (int64 at = blockIdx.x * 256ll + threadIdx.x; at < all; at += gridDim.x * 256ll) {
    const int y = at / columns % rows, x = at % columns;
    const PIXEL* image = images + at / ((int64)rows * columns) * h * w;
    double best = (double)__int_as_float(0x7f800000);
    for (int j = max(y - radius, 0); j <= min(y + radius, rows - 1); j++)
      for (int i = max(x - radius, 0); i <= min(x + radius, columns - 1); i++)
        if (in_disk(j - y, i - x, radius))
          best = min(best, finite(image[(int64)j * step * w + (int64)i * step]));
    low[at] = best;
  }
}

extern "C" __global__ void __launch_bounds__(256)
highest(const double* __restrict__ low, double* __restrict__ back, int n, int rows, int columns,
        int radius) {
  const int64 all = (int64)n * rows * columns;
  for (int64 at = blockIdx.x * 256ll + threadIdx.x; at < all; at += gridDim.x * 256ll) {
    const int y = at / columns % rows, x = at % columns;
    const double* image = low + at / ((int64)rows * columns) * rows * columns;
    double best = -(double)__int_as_float(0x7f800000);
    for (int j = max(y - radius, 0); j <= min(y + radius, rows - 1); j++)
      for (int i = max(x - radius, 0); i <= min(x + radius, columns - 1); i++)
        if (in_disk(j - y, i - x, radius)) best = max(best, image[j * columns + i]);
    back[at] = best;
  }
}

extern "C" __global__ void __launch_bounds__(256)
subtract(const PIXEL* __restrict__ images, const double* __restrict__ back,
         double* __restrict__ small, double* __restrict__ eroded, int n, int h, int w, int rows,
         int columns, int coarse_rows, int coarse_columns, int step, double ratio_y,
         double ratio_x) {
  const int64 all = (int64)n * rows * columns;
  for (int64 at = blockIdx.x * 256ll + threadIdx.x; at < all; at += gridDim.x * 256ll) {
    const int y = at / columns % rows, x = at % columns;
    const int64 image = at / ((int64)rows * columns);
    const double* b = back + image * coarse_rows * coarse_columns;
    const Place j = place(y, ratio_y, coarse_rows - 1), i = place(x, ratio_x, coarse_columns - 1);
    const double *above = b + j.below * coarse_columns, *below = b + j.above * coarse_columns;
    const double upper = above[i.below] + i.way * (above[i.above] - above[i.below]);
    const double lower = below[i.below] + i.way * (below[i.above] - below[i.below]);
    const double v = finite(images[(image * h + (int64)y * step) * w + (int64)x * step]);
    const double rest = v - (upper + j.way * (lower - upper));
    small[at] = eroded[at] = rest > 1e-9 * fabs(v) ? rest : 0.0;
  }
}

// ---- erosion and reconstruction

// f(at) takes what the line's pixels before it hold, up to the limit; both ways along the line.
__device__ int sweep(double* found, const double* under, int length, int stride) {
  int changed = 0;
  double held = found[0];
#pragma unroll 1
  for (int k = 1; k < length; k++) {
    const double before = found[k * stride];
    held = min(under[k * stride], max(before, held));
    changed |= held != before;
    found[k * stride] = held;
  }
#pragma unroll 1
  for (int k = length - 2; k >= 0; k--) {
    const double before = found[k * stride];
    held = min(under[k * stride], max(before, held));
    changed |= held != before;
    found[k * stride] = held;
  }
  return changed;
}

extern "C" __global__ void __launch_bounds__(256)
reconstruct(const double* __restrict__ small, const double* __restrict__ eroded,
            double* __restrict__ next, double* found, int n, int rows, int columns) {
  __shared__ int scratch[8];
  const int pixels = rows * columns;
  for (int image = blockIdx.x; image < n; image += gridDim.x) {
    const double* from = eroded + (int64)image * pixels;
    const double* under = small + (int64)image * pixels;
    double *to = next + (int64)image * pixels, *result = found + (int64)image * pixels;
#pragma unroll 1
    for (int at = threadIdx.x; at < pixels; at += blockDim.x) {
      const int y = at / columns, x = at % columns;
      double least = min(from[at], min(from[max(y - 1, 0) * columns + x],
                                       from[min(y + 1, rows - 1) * columns + x]));
      least = min(least, min(from[y * columns + max(x - 1, 0)],
                             from[y * columns + min(x + 1, columns - 1)]));
      to[at] = result[at] = least;
    }
    int changed = 1;
    while (changed) {
      changed = 0;
      __syncthreads();
      for (int x = threadIdx.x; x < columns; x += blockDim.x)
        changed |= sweep(result + x, under + x, rows, columns);
      __syncthreads();
      for (int y = threadIdx.x; y < rows; y += blockDim.x)
        changed |= sweep(result + y * columns, under + y * columns, columns, 1);
      changed = block_reduce(changed, scratch, Max());
    }
  }
}

// ---- regions

struct Region {
  const int64* box;   // row of the table of regions
  const int64* node;  // row of the table of boxes in the small image
  double* weights;

  __device__ __forceinline__ int rows() const { return node[1] - node[0]; }
  __device__ __forceinline__ int columns() const { return node[3] - node[2]; }
};

// Adds the first `columns` of what threads hold to a sum that thread 0 keeps, from the left.
__device__ void add_columns(double mine, int columns, double* shared, double& total) {
  shared[threadIdx.x] = mine;
  __syncthreads();
  if (threadIdx.x == 0) {
#pragma unroll 1
    for (int k = 0; k < columns; k++) total += shared[k];
  }
  __syncthreads();
}

// Sum of a box of small pixels times their weights; thread 0 gets it.
__device__ double weighted(const Region& region, const double* found, int columns,
                           double* shared) {
  double total = 0.0;
  const double* corner = found + region.node[0] * columns + region.node[2];
  const int rows = region.rows(), width = region.columns();
  for (int x0 = 0; x0 < width; x0 += THREADS) {
    const int x = x0 + threadIdx.x;
    double column = 0.0;
#pragma unroll 1
    for (int y = 0; x < width && y < rows; y++)
      column += region.weights[y * width + x] * corner[(int64)y * columns + x];
    add_columns(column, min(THREADS, width - x0), shared, total);
  }
  return total;
}

struct Cover {
  const PIXEL* pixels;
  const LABEL* labels;
  int64 label;
  int w;

  __device__ __forceinline__ bool inside(int y, int x) const {
#if BOXES
    return true;
#else
    const LABEL found = labels[(int64)y * w + x];
    return label == 0 ? found != 0 : found == label;
#endif
  }
};

// The first and the stop of the samples first .. stop - 1 that may lie beside node k; `samples` a
// node, 0: all lie on one.
__device__ __forceinline__ void near(int k, double samples, int& first, int& stop) {
  if (samples <= 0.0) return;
  first = max(first, (int)((k - 1) * samples) - 1);
  stop = min((double)stop, (k + 1) * samples + 2.0);
}

// What the region's pixels give to one node, in the order in which the CPU adds it.
__device__ double weight_of(const Cover& cover, const int64* box, int row, int column,
                            double ratio_y, double ratio_x, double samples_y, double samples_x,
                            int bottom, int right) {
  int y0 = box[4], y1 = box[5], x0 = box[6], x1 = box[7];
  near(row, samples_y, y0, y1);
  near(column, samples_x, x0, x1);
  // past the last node samples stay on it
  if (row == bottom) y1 = box[5];
  if (column == right) x1 = box[7];
  double weight = 0.0;
#pragma unroll 1
  for (int y = y0; y < y1; y++) {
    const Place j = place(y, ratio_y, bottom);
    if (j.below != row && j.above != row) continue;
#pragma unroll 1
    for (int x = x0; x < x1; x++) {
      const Place i = place(x, ratio_x, right);
      if ((i.below != column && i.above != column) || !cover.inside(y, x)) continue;
      const bool left = i.below == column, beside = i.above == column;
      if (j.below == row && left) weight += (1.0 - j.way) * (1.0 - i.way);
      if (j.below == row && beside) weight += (1.0 - j.way) * i.way;
      if (j.above == row && left) weight += j.way * (1.0 - i.way);
      if (j.above == row && beside) weight += j.way * i.way;
    }
  }
  return weight;
}

extern "C" __global__ void __launch_bounds__(256, 2)
weigh(const PIXEL* __restrict__ images, const LABEL* __restrict__ labels,
      const int64* __restrict__ table, const int64* __restrict__ nodes,
      const int64* __restrict__ starts, const double* __restrict__ small, double* weights,
      double* __restrict__ means, int regions, int h, int w, int rows, int columns, double ratio_y,
      double ratio_x, double samples_y, double samples_x) {
  __shared__ double shared[THREADS];
  __shared__ int scratch[8];
  for (int k = blockIdx.x; k < regions; k += gridDim.x) {
    const int64* box = table + k * 8ll;
    const Region region = {box, nodes + (int64)k * NODE, weights + starts[k]};
    const int64 first = box[0] * h * w;
    const Cover cover = {images + first, labels + first, box[1], w};
    const int cells = region.rows() * region.columns();
    const bool whole = region.node[4];
#pragma unroll 1
    for (int at = threadIdx.x; at < cells; at += blockDim.x) {
      const int row = region.node[0] + at / region.columns();
      const int column = region.node[2] + at % region.columns();
      region.weights[at] = whole ? 1.0
                                 : weight_of(cover, box, row, column, ratio_y, ratio_x, samples_y,
                                             samples_x, rows - 1, columns - 1);
    }
    __syncthreads();
    double total = 0.0;
    int pixels = 0;
    if (whole) {
      total = weighted(region, small + box[0] * rows * columns, columns, shared);
      pixels = cells;
    } else {
      for (int x0 = box[6]; x0 < box[7]; x0 += THREADS) {
        const int x = x0 + threadIdx.x;
        double column = 0.0;
#pragma unroll 1
        for (int y = box[4]; x < box[7] && y < box[5]; y++)
          if (cover.inside(y, x)) {
            column += finite(cover.pixels[(int64)y * w + x]);
            pixels++;
          }
        add_columns(column, min(THREADS, (int)box[7] - x0), shared, total);
      }
      pixels = block_reduce(pixels, scratch, Sum());
    }
    if (threadIdx.x == 0) {
      means[3 * k] = means[3 * k + 1] = total / pixels;
      means[3 * k + 2] = pixels;
    }
  }
}

extern "C" __global__ void __launch_bounds__(256)
average(const int64* __restrict__ table, const int64* __restrict__ nodes,
        const int64* __restrict__ starts, const double* __restrict__ found, double* weights,
        double* __restrict__ means, float* __restrict__ values, int regions, int rows, int columns,
        int step, int length) {
  __shared__ double shared[THREADS];
  for (int k = blockIdx.x; k < regions; k += gridDim.x) {
    const int64* box = table + k * 8ll;
    const Region region = {box, nodes + (int64)k * NODE, weights + starts[k]};
    const double total = weighted(region, found + box[0] * rows * columns, columns, shared);
    if (threadIdx.x == 0) {
      const double mean = total / means[3 * k + 2], start = means[3 * k + 1];
      const double value = 100.0 * (means[3 * k] - mean) / start;
      values[(int64)k * length + step] = start > 0.0 ? (float)value : __int_as_float(0x7fc00000);
      means[3 * k] = mean;
    }
  }
}

// Histograms of oriented gradients: see hog.py. One block of 256 threads a region; blocks go on with
// region + gridDim.x. A row of pixels votes at a time: strengths and bins go to shared memory, then a
// thread adds those of one cell and orientation, from left to right as the CPU does.
// LABEL is the labels' type, or that of the images if BOXES = 1: all pixels vote. The label 0 stands
// for any other than 0. NORM: see hog.py.
#include "_box.cuh"

enum : int { L1, L2, L2_HYS };
enum : int {
  CHUNK = 512,         // pixels of a row at a time
  STAGED = 2 * CHUNK,  // with a gap behind cells of an even width: no two in one bank
  PITCH = ORIENTATIONS | 1,
  GROUP = 64,  // blocks that are normalised at a time
};

struct Grid {
  int rows, columns, height, width;  // of cells, and of a cell

  __device__ __forceinline__ int staged(int x) const {
    return x / width * (width | 1) + x % width;
  }
};

// The order of the operations is that of the CPU code.
__device__ __forceinline__ double vote_of(const Box& box, int y, int x, const double* edges,
                                          int& bin) {
  const bool upright = 0 < y && y < box.height - 1, across = 0 < x && x < box.width - 1;
  double gy = upright ? box.at(y + 1, x) - box.at(y - 1, x) : 0.0;
  double gx = across ? box.at(y, x + 1) - box.at(y, x - 1) : 0.0;
  if (gy < 0.0 || (gy == 0.0 && gx < 0.0)) {
    gy = -gy;
    gx = -gx;
  }
  int passed = 0;
#pragma unroll 1
  for (int k = 0; k < ORIENTATIONS - 1; k++)
    passed += edges[2 * k + 1] * gy >= edges[2 * k] * gx;
  bin = passed;
  const double strength = sqrt(gx * gx + gy * gy);
  return strength < (double)__int_as_float(0x7f800000) && box.labelled(y, x) ? strength : 0.0;
}

// Adds a row of pixels to the histograms of its row of cells.
__device__ void add_row(const Box& box, const Grid& grid, int y, const double* edges,
                        double* strengths, int* bins, double* histograms) {
  for (int x0 = 0; x0 < grid.columns * grid.width; x0 += CHUNK) {
    const int x1 = min(x0 + CHUNK, grid.columns * grid.width), base = grid.staged(x0);
    for (int x = x0 + threadIdx.x; x < x1; x += blockDim.x) {
      const int to = grid.staged(x) - base;
      strengths[to] = vote_of(box, y, x, edges, bins[to]);
    }
    __syncthreads();
    for (int k = threadIdx.x; k < grid.columns * ORIENTATIONS; k += blockDim.x) {
      const int cell = k / ORIENTATIONS, bin = k % ORIENTATIONS;
      const int first = max(x0, cell * grid.width), last = min(x1, (cell + 1) * grid.width);
      if (first >= last) continue;
      const int from = grid.staged(first) - base;
      double sum = histograms[cell * PITCH + bin];
      for (int i = 0; i < last - first; i++)
        if (bins[from + i] == bin) sum += strengths[from + i];
      histograms[cell * PITCH + bin] = sum;
    }
    __syncthreads();
  }
}

// The norm of a block's histograms divided by `divisor` and, for L2_HYS, cut off.
__device__ double norm_of(const double* histograms, const Grid& grid, int y, int x, int down,
                          int across, int norm, double divisor) {
  double total = 0.0;
#pragma unroll 1
  for (int k = 0; k < down * across * ORIENTATIONS; k++) {
    const int cell = k / ORIENTATIONS;
    const int place = (y + cell / across) * grid.columns + x + cell % across;
    double h = histograms[place * PITCH + k % ORIENTATIONS] / divisor;
    if (norm == L2_HYS && h > 0.2) h = 0.2;
    total += norm == L1 ? h : h * h;
  }
  return norm == L1 ? total + 1e-5 : sqrt(total + 1e-5 * 1e-5);
}

extern "C" __global__ void __launch_bounds__(256)
describe(const PIXEL* __restrict__ images, const LABEL* __restrict__ labels,
         const int64* __restrict__ table, const double* __restrict__ angles,
         float* __restrict__ out, int regions, int h, int w, int rows, int columns, int cell_height,
         int cell_width, int down, int across) {
  extern __shared__ double histograms[];
  __shared__ double strengths[STAGED], edges[2 * ORIENTATIONS], norms[GROUP][2];
  __shared__ int bins[STAGED];
  const int wide = columns - across + 1, blocks = (rows - down + 1) * wide;
  const int each = down * across * ORIENTATIONS;
  for (int k = threadIdx.x; k < 2 * (ORIENTATIONS - 1); k += blockDim.x) edges[k] = angles[k];
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const int64* row = table + (size_t)region * 8;
    const int64 corner = (row[0] * h + row[4]) * w + row[6];
    const Box box = {images + corner, labels + corner, row[1], (int)(row[5] - row[4]),
                     (int)(row[7] - row[6]), w};
    Grid grid = {rows, columns, cell_height, cell_width};
    if (grid.height == 0) grid.height = box.height / rows;
    if (grid.width == 0) grid.width = box.width / columns;
    float* values = out + (size_t)region * blocks * each;
    if (grid.height == 0 || grid.width == 0 || grid.height * rows > box.height ||
        grid.width * columns > box.width) {
      for (int k = threadIdx.x; k < blocks * each; k += blockDim.x)
        values[k] = __int_as_float(0x7fc00000);
      continue;
    }
    for (int k = threadIdx.x; k < rows * columns * PITCH; k += blockDim.x) histograms[k] = 0.0;
    __syncthreads();
    for (int y = 0; y < rows * grid.height; y++)
      add_row(box, grid, y, edges, strengths, bins,
              histograms + y / grid.height * columns * PITCH);
    const double pixels = grid.height * grid.width;
    for (int k = threadIdx.x; k < rows * columns * PITCH; k += blockDim.x) histograms[k] /= pixels;
    __syncthreads();
    for (int first = 0; first < blocks; first += GROUP) {
      const int group = min(GROUP, blocks - first);
      if (threadIdx.x < group) {
        const int y = (first + threadIdx.x) / wide, x = (first + threadIdx.x) % wide;
        const double one = norm_of(histograms, grid, y, x, down, across, min(NORM, L2), 1.0);
        norms[threadIdx.x][0] = one;
        if (NORM == L2_HYS)
          norms[threadIdx.x][1] = norm_of(histograms, grid, y, x, down, across, NORM, one);
      }
      __syncthreads();
      for (int k = threadIdx.x; k < group * each; k += blockDim.x) {
        const int block = first + k / each, cell = k % each / ORIENTATIONS;
        const int place = (block / wide + cell / across) * columns + block % wide + cell % across;
        double value = histograms[place * PITCH + k % ORIENTATIONS] / norms[k / each][0];
        if (NORM == L2_HYS) value = (value > 0.2 ? 0.2 : value) / norms[k / each][1];
        values[(size_t)first * each + k] = (float)value;
      }
      __syncthreads();
    }
  }
}

// Radial distribution: see radial.py. One block of 256 threads a region; blocks go on with
// region + gridDim.x. A thread a column or a row finds ways, one a ring's wedge adds its pixels, in
// the CPU's order.
// LABEL is the labels' type, or that of the images if BOXES = 1: regions are whole boxes. The label 0
// stands for any other than 0.
#include "_box.cuh"

enum : int { WEDGES = 8, CELLS = RINGS * WEDGES, NOWHERE = 255 };
enum : int64 { ONE = 1 << 30, ACROSS = 1518500250, FAR = 1ll << 60 };

// down[y][x]: pixels to the nearest one outside in the column; 0 outside. A thread a column.
__device__ void columns_to_edge(const Box& box, int* down) {
  for (int x = threadIdx.x; x < box.width; x += blockDim.x) {
    int way = 0;
#pragma unroll 1
    for (int y = 0; y < box.height; y++)
      down[y * box.width + x] = way = box.inside(y, x) ? way + 1 : 0;
    way = 0;
#pragma unroll 1
    for (int y = box.height - 1; y >= 0; y--)
      down[y * box.width + x] = way = min(down[y * box.width + x], way + 1);
  }
}

// Square of the way to the nearest pixel outside, from those of the columns.
__device__ int square_to_edge(const int* row, int x, int w) {
  int best = row[x] * row[x];
#pragma unroll 1
  for (int k = 1; k * k < best; k++) {
    const int left = x - k >= 0 ? row[x - k] : 0, right = x + k < w ? row[x + k] : 0;
    const int nearer = min(left, right);
    best = min(best, k * k + nearer * nearer);
  }
  return best;
}

// A row takes the ways through the row `other`, then a thread a row those along it.
__device__ int relax(const int* squares, int64* ways, const Box& box, int y, int other) {
  const int pitch = box.width + 2;
  const int64* beside = ways + other * pitch;
  int changed = 0;
  for (int x = threadIdx.x; x < box.width; x += blockDim.x) {
    if (squares[y * box.width + x] == 0) continue;
    int64& way = ways[(y + 1) * pitch + x + 1];
    const int64 found = min(beside[x + 1] + ONE, min(beside[x], beside[x + 2]) + ACROSS);
    if (found < way) {
      way = found;
      changed = 1;
    }
  }
  __syncthreads();
  return changed;
}

__device__ int along_rows(const int* squares, int64* ways, const Box& box) {
  int changed = 0;
  for (int y = threadIdx.x; y < box.height; y += blockDim.x) {
    int64* row = ways + (y + 1) * (box.width + 2);
#pragma unroll 1
    for (int k = 1; k <= 2 * box.width; k++) {  // to the right, then to the left
      const bool back = k > box.width;
      const int x = back ? 2 * box.width + 1 - k : k;
      const int64 found = row[back ? x + 1 : x - 1] + ONE;
      if (squares[y * box.width + x - 1] != 0 && found < row[x]) {
        row[x] = found;
        changed = 1;
      }
    }
  }
  __syncthreads();
  return changed;
}

__device__ void find_ways(const int* squares, int64* ways, const Box& box, int* scratch) {
  int changed = 1;
  while (changed) {
    changed = 0;
#pragma unroll 1
    for (int y = 0; y < box.height; y++) changed |= relax(squares, ways, box, y, y);
    changed |= along_rows(squares, ways, box);
#pragma unroll 1
    for (int y = box.height - 1; y >= 0; y--) changed |= relax(squares, ways, box, y, y + 2);
    changed |= along_rows(squares, ways, box);
    changed = block_reduce(changed, scratch, Max());
  }
}

// Ring and wedge of a pixel, or NOWHERE.
__device__ int cell_of(int64 way, int square, int down, int right) {
  if (way >= FAR) return NOWHERE;
  const double near = way / (double)ONE;
  const int ring = (int)(RINGS * (near / (near + sqrt((double)square) + 0.001)));
  return ring * WEDGES + (down > 0) + 2 * (right > 0) + 4 * (abs(down) > abs(right));
}

// The values of ring `ring`, as in radial.py.
__device__ void summarise(const double* sums, const int* counts, int ring, float* values) {
  double total = 0.0, of_ring = 0.0, mean = 0.0, spread = 0.0;
  int pixels = 0, size = 0, there = 0;
#pragma unroll 1
  for (int k = 0; k < RINGS; k++) {
    of_ring = 0.0;
    for (int wedge = 0; wedge < WEDGES; wedge++) {
      of_ring += sums[k * WEDGES + wedge];
      pixels += counts[k * WEDGES + wedge];
    }
    total += of_ring;
  }
  of_ring = 0.0;
#pragma unroll 1
  for (int k = ring * WEDGES; k < (ring + 1) * WEDGES; k++) {
    of_ring += sums[k];
    size += counts[k];
    if (counts[k] == 0) continue;
    there++;
    mean += sums[k] / counts[k];
  }
  const float nan = __int_as_float(0x7fc00000);
  const double fraction = of_ring / total;
  values[ring] = total != 0.0 ? (float)fraction : nan;
  const double share = (double)size / pixels + 2.220446049250313e-16;
  values[RINGS + ring] = total != 0.0 ? (float)(fraction / share) : nan;
  if (there == 0) {
    values[2 * RINGS + ring] = 0.0f;
    return;
  }
  mean /= there;
#pragma unroll 1
  for (int k = ring * WEDGES; k < (ring + 1) * WEDGES; k++) {
    if (counts[k] == 0) continue;
    const double apart = sums[k] / counts[k] - mean;
    spread += apart * apart;
  }
  values[2 * RINGS + ring] = mean != 0.0 ? (float)(sqrt(spread / there) / mean) : nan;
}

extern "C" __global__ void __launch_bounds__(256, 2)
measure(const PIXEL* __restrict__ images, const LABEL* __restrict__ labels,
        const int64* __restrict__ table, const int64* __restrict__ starts, int64* all_ways,
        int* all_squares, int* all_down, float* __restrict__ out, int regions, int h, int w) {
  __shared__ double sums[CELLS];
  __shared__ int counts[CELLS], scratch[8];
  __shared__ int64 wide[8];
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const int64* row = table + (size_t)region * 8;
    const int64 corner = (row[0] * h + row[4]) * w + row[6];
    const Box box = {images + corner, labels + corner, row[1], (int)(row[5] - row[4]),
                     (int)(row[7] - row[6]), w};
    int64* ways = all_ways + starts[region];
    int *squares = all_squares + starts[region], *down = all_down + starts[region];
    float* values = out + (size_t)region * 3 * RINGS;
    columns_to_edge(box, down);
    const int cells = (box.height + 2) * (box.width + 2);
    for (int k = threadIdx.x; k < cells; k += blockDim.x) ways[k] = FAR;
    __syncthreads();

    // the farthest from the edge, of several the first: the greatest of (square, -position)
    int64 best = -1;
#pragma unroll 1
    for (int at = threadIdx.x; at < box.height * box.width; at += blockDim.x) {
      const int x = at % box.width, square = square_to_edge(down + at - x, x, box.width);
      squares[at] = square;
      if (square > 0) best = max(best, (int64)square << 32 | (0x7fffffff - at));
    }
    best = block_reduce(best, wide, Max());
    if (best < 0) {
      if (threadIdx.x < 3 * RINGS) values[threadIdx.x] = __int_as_float(0x7fc00000);
      continue;
    }
    const int centre = 0x7fffffff - (int)(best & 0x7fffffff);
    const int cy = centre / box.width, cx = centre % box.width;
    if (threadIdx.x == 0) ways[(cy + 1) * (box.width + 2) + cx + 1] = 0;
    __syncthreads();
    find_ways(squares, ways, box, scratch);

#pragma unroll 1
    for (int at = threadIdx.x; at < box.height * box.width; at += blockDim.x) {
      const int y = at / box.width, x = at % box.width;
      down[at] = cell_of(ways[(y + 1) * (box.width + 2) + x + 1], squares[at], y - cy, x - cx);
    }
    __syncthreads();
    if (threadIdx.x < CELLS) {
      double sum = 0.0;
      int count = 0;
#pragma unroll 1
      for (int y = 0; y < box.height; y++)
#pragma unroll 1
        for (int x = 0; x < box.width; x++)
          if (down[y * box.width + x] == threadIdx.x) {
            sum += box.at(y, x);
            count++;
          }
      sums[threadIdx.x] = sum;
      counts[threadIdx.x] = count;
    }
    __syncthreads();
    if (threadIdx.x < RINGS) summarise(sums, counts, threadIdx.x, values);
    __syncthreads();
  }
}

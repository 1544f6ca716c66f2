// Zernike moments on the smallest circle around an object: see zernike.py, _circle.py and
// _polynomials.py. One block of 256 threads a region; blocks go on with region + gridDim.x. A warp
// finds the ends of a row, one thread the circle, a thread a column the sums of y^q, a thread a term
// the sum over columns: each in the CPU's order.
// LABEL is the labels' type, or that of the images if BOXES = 1: regions are whole boxes. The label 0
// stands for any other than 0.
#include "_angle.cuh"
#include "_box.cuh"

enum : int { POWERS = 10, TERMS = 55, PARTS = 60, INDEXES = 30, NO_ROW = -1 };
enum : int { CHUNK = 128, PITCH = CHUNK + 1 };  // columns at a time; odd: no two rows in one bank

struct Circle {  // its centre: `dy` and `dx` from a pixel
  int y, x;
  double dy, dx, radius;
};

// ends[y]: first and last pixel of each row, or NO_ROW; every thread gets the number of pixels.
__device__ int find_ends(const Box& box, int* ends, int* scratch) {
  int pixels = 0;
  for (int y = threadIdx.x / WARP; y < box.height; y += blockDim.x / WARP) {
    int first = box.width, last = NO_ROW;
    for (int x = threadIdx.x % WARP; x < box.width; x += WARP) {
      if (!box.inside(y, x)) continue;
      first = min(first, x);
      last = x;
      pixels++;
    }
    first = warp_reduce(first, Min());
    last = warp_reduce(last, Max());
    if (threadIdx.x % WARP == 0) {
      ends[2 * y] = last == NO_ROW ? NO_ROW : first;
      ends[2 * y + 1] = last;
    }
  }
  return block_reduce(pixels, scratch, Sum());
}

// As in _circle.py, by one thread.
__device__ Circle enclosing_circle(const int* ends, int height) {
  int64 py = 0;
  while (ends[2 * py] == NO_ROW) py++;
  int64 px = ends[2 * py], qy = py, qx = px;
#pragma unroll 1
  for (int k = 2 * (int)py; k < 2 * height; k++) {
    const int64 y = k / 2, x = ends[k];
    if (x == NO_ROW || (y == py && x == px)) continue;
    const int64 turn = (qx - px) * (y - py) - (qy - py) * (x - px);
    const bool farther = (y - py) * (y - py) + (x - px) * (x - px) >
                         (qy - py) * (qy - py) + (qx - px) * (qx - px);
    if ((qy == py && qx == px) || turn < 0 || (turn == 0 && farther)) {
      qy = y;
      qx = x;
    }
  }
  double y, x;
  while (true) {
    int64 vy = -1, vx = -1, best = -1, over = 0;
#pragma unroll 1
    for (int k = 0; k < 2 * height; k++) {
      const int64 j = k / 2, i = ends[k];
      if (i == NO_ROW || (j == py && i == px) || (j == qy && i == qx)) continue;
      const int64 dot = (py - j) * (qy - j) + (px - i) * (qx - i);
      const int64 turn = (px - i) * (qy - j) - (py - j) * (qx - i);
      const int64 cross = turn < 0 ? -turn : turn;
      if (vy < 0 || dot * over > best * cross) {
        vy = j;
        vx = i;
        best = dot;
        over = cross;
      }
    }
    const int64 ay = qy - py, ax = qx - px, by = vy - py, bx = vx - px;
    if (vy < 0 || best <= 0) {
      y = ay / 2.0;
      x = ax / 2.0;
      break;
    }
    if (ay * by + ax * bx < 0) {
      py = qy;
      px = qx;
      qy = vy;
      qx = vx;
    } else if (ay * (qy - vy) + ax * (qx - vx) < 0) {
      qy = vy;
      qx = vx;
    } else {
      const double twice = 2 * (ay * bx - ax * by);
      const int64 a = ay * ay + ax * ax, b = by * by + bx * bx;
      y = (bx * a - ax * b) / twice;
      x = (ay * b - by * a) / twice;
      break;
    }
  }
  return {(int)py, (int)px, y, x, sqrt(y * y + x * x)};
}

// columns[k][q][x - x0] = sum over rows of y^q, 1 (k = 0) and v (k = 1) times; returns max |v|.
__device__ double add_rows(const Box& box, const int* ends, const Circle& circle, int x0,
                           double (*columns)[POWERS][PITCH]) {
  double highest = 0.0;
  const int x = x0 + threadIdx.x;
  if (threadIdx.x >= CHUNK || x >= box.width) return highest;
  double ones[POWERS] = {}, greys[POWERS] = {};
#pragma unroll 1
  for (int y = 0; y < box.height; y++) {
    if (!box.inside(y, x)) continue;
    const double at = (y - circle.y - circle.dy) / circle.radius, v = box.at(y, x);
    double power = 1.0;
    for (int q = 0; q < POWERS; q++) {
      ones[q] += power;
      greys[q] += v * power;
      power *= at;
    }
    highest = max(highest, fabs(v));
  }
  for (int q = 0; q < POWERS; q++) {
    columns[0][q][threadIdx.x] = ones[q];
    columns[1][q][threadIdx.x] = greys[q];
  }
  return highest;
}

extern "C" __global__ void __launch_bounds__(256)
measure(const PIXEL* __restrict__ images, const LABEL* __restrict__ labels,
        const int64* __restrict__ table, const int64* __restrict__ starts, int* rows,
        const double* __restrict__ weights, float* __restrict__ out, int regions, int h, int w) {
  __shared__ double columns[2][POWERS][PITCH], sums[2][TERMS], moments[2][PARTS], greatest[8];
  __shared__ Circle circle;
  __shared__ int scratch[8];
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const int64* row = table + (size_t)region * 8;
    const int64 corner = (row[0] * h + row[4]) * w + row[6];
    const Box box = {images + corner, labels + corner, row[1], (int)(row[5] - row[4]),
                     (int)(row[7] - row[6]), w};
    int* ends = rows + 2 * starts[region];
    float* values = out + (size_t)region * 3 * INDEXES;
    const int pixels = find_ends(box, ends, scratch);
    if (pixels < 2) {
      if (threadIdx.x < 3 * INDEXES) values[threadIdx.x] = __int_as_float(0x7fc00000);
      continue;
    }
    if (threadIdx.x == 0) circle = enclosing_circle(ends, box.height);
    __syncthreads();

    const int k = threadIdx.x / WARP / 4, term = threadIdx.x % (4 * WARP);
    int q = 0, p = term;  // of term `term`: y^q x^p
    while (term < TERMS && p >= POWERS - q) p -= POWERS - q++;
    double sum = 0.0, highest = 0.0;
    for (int x0 = 0; x0 < box.width; x0 += CHUNK) {
      highest = max(highest, add_rows(box, ends, circle, x0, columns));
      __syncthreads();
      if (term < TERMS) {
#pragma unroll 1
        for (int x = x0; x < min(x0 + CHUNK, box.width); x++) {
          const double at = (x - circle.x - circle.dx) / circle.radius;
          double power = 1.0;
          for (int i = 0; i < p; i++) power *= at;
          sum += power * columns[k][q][x - x0];
        }
      }
      __syncthreads();
    }
    if (term < TERMS) sums[k][term] = sum;
    highest = block_reduce(highest, greatest, Max());
    if (term < PARTS) {
      double moment = 0.0;
      for (int i = 0; i < TERMS; i++) moment += weights[i * PARTS + term] * sums[k][i];
      const double least = 1e-9 * (pixels * (k ? highest : 1.0));
      moments[k][term] = fabs(moment) > least ? moment : 0.0;
    }
    __syncthreads();
    if (threadIdx.x < INDEXES) {
      const int i = threadIdx.x;
      const double a = moments[0][2 * i], b = moments[0][2 * i + 1];
      const double c = moments[1][2 * i], d = moments[1][2 * i + 1];
      const double area = 3.141592653589793 * (circle.radius * circle.radius);
      values[i] = (float)(sqrt(a * a + b * b) / area);
      values[INDEXES + i] = (float)(sqrt(c * c + d * d) / pixels);
      values[2 * INDEXES + i] = (float)angle(c, d);
    }
    __syncthreads();
  }
}

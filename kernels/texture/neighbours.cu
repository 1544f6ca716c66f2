// Neighbours of labelled objects: see neighbours.py. One block of 256 threads an object; blocks go on
// with object + gridDim.x.
#include "_cuda.cuh"

using int64 = long long;

enum : int { WARPS = 8, FEATURES = 7 };

struct Labels {
  const int* labels;  // of an image
  int h, w;

  __device__ __forceinline__ int at(int y, int x) const { return labels[(uint64)y * w + x]; }

  __device__ bool outline(int y, int x, int label) const {
    if (at(y, x) != label) return false;
    if (y == 0 || x == 0 || y == h - 1 || x == w - 1) return true;
    for (int k = 0; k < 9; k++)
      if (at(y + k / 3 - 1, x + k % 3 - 1) != label) return true;
    return false;
  }
  // Whether one of the steps leads to the label `other`; if that is 0, to any but the own and none.
  __device__ bool meets(int y, int x, const int64* steps, int count, int other,
                                     int label) const {
    for (int k = 0; k < count; k++) {
      const int v = y + (int)steps[2 * k], u = x + (int)steps[2 * k + 1];
      if (v < 0 || v >= h || u < 0 || u >= w) continue;
      const int found = at(v, u);
      if (other ? found == other : found > 0 && found != label) return true;
    }
    return false;
  }
};

extern "C" __global__ void __launch_bounds__(256)
find_centres(const int* __restrict__ labels, const int64* __restrict__ table,
             double* __restrict__ centres, int objects, int h, int w) {
  __shared__ int64 scratch[WARPS];
  for (int k = blockIdx.x; k < objects; k += gridDim.x) {
    const int64* box = table + k * 8;
    const int* image = labels + (uint64)box[0] * h * w;
    const int width = box[7] - box[6], pixels = (int)(box[5] - box[4]) * width;
    int64 count = 0, down = 0, across = 0;
    for (int at = threadIdx.x; at < pixels; at += blockDim.x) {
      const int y = box[4] + at / width, x = box[6] + at % width;
      if (image[(uint64)y * w + x] != box[1]) continue;
      count++;
      down += y;
      across += x;
    }
    count = block_reduce(count, scratch, Sum());
    down = block_reduce(down, scratch, Sum());
    across = block_reduce(across, scratch, Sum());
    if (threadIdx.x == 0) {
      centres[2 * k] = (double)down / count;
      centres[2 * k + 1] = (double)across / count;
    }
  }
}

struct Way {
  double y, x;
  int object;  // -1: there is none

  __device__ double square() const { return y * y + x * x; }
};

__device__ __forceinline__ Way way(const double* centres, int from, int to) {
  return {centres[2 * to] - centres[2 * from], centres[2 * to + 1] - centres[2 * from + 1], to};
}

// To the nearest centre, of several the first, of neither `own` nor `but`.
__device__ Way nearest(const double* centres, int start, int stop, int own, int but,
                       double* scratch) {
  const double infinite = __longlong_as_double(0x7ff0000000000000ll);
  double least = infinite;
  int best = stop;
  for (int k = start + threadIdx.x; k < stop; k += blockDim.x) {
    const double square = way(centres, own, k).square();
    if (k != own && k != but && square < least) {
      least = square;
      best = k;
    }
  }
  const double found = block_reduce(least, scratch, Min());
  best = block_reduce(least == found ? best : stop, (int*)scratch, Min());
  if (found == infinite) return {0.0, 0.0, -1};
  return way(centres, own, best);
}

__device__ void describe_closest(const Way& first, const Way& second, const int64* table,
                                 float* row) {
  const double none = __longlong_as_double(0x7ff8000000000000ll);
  const double lengths = sqrt(first.square() * second.square());
  const double cosine = (first.y * second.y + first.x * second.x) / lengths;
  const bool two = second.object >= 0 && lengths > 0.0;
  const double degrees = 180.0 / 3.141592653589793;
  row[2] = first.object < 0 ? 0 : table[first.object * 8ll + 1];
  row[3] = first.object < 0 ? none : sqrt(first.square());
  row[4] = second.object < 0 ? 0 : table[second.object * 8ll + 1];
  row[5] = second.object < 0 ? none : sqrt(second.square());
  row[6] = two ? acos(fmin(fmax(cosine, -1.0), 1.0)) * degrees : none;
}

__device__ __forceinline__ bool near(const int64* box, const int64* other, int distance) {
  return max(other[4] - box[5], box[4] - other[5]) < distance &&
         max(other[6] - box[7], box[6] - other[7]) < distance;
}

// Whether a thread's outline pixels of the object have the other one so near.
__device__ bool is_neighbour(const Labels& image, const int64* box, const int64* other,
                             const int64* steps, int reach, int distance) {
  const int width = box[7] - box[6], pixels = (int)(box[5] - box[4]) * width;
  for (int at = threadIdx.x; at < pixels; at += blockDim.x) {
    const int y = box[4] + at / width, x = box[6] + at % width;
    if (y < other[4] - distance || y >= other[5] + distance || x < other[6] - distance ||
        x >= other[7] + distance || !image.outline(y, x, box[1]))
      continue;
    if (image.meets(y, x, steps, reach, other[1], box[1])) return true;
  }
  return false;
}

extern "C" __global__ void __launch_bounds__(256)
measure(const int* __restrict__ labels, const int64* __restrict__ table,
        const int64* __restrict__ spans, const int64* __restrict__ own,
        const double* __restrict__ centres, const int64* __restrict__ steps, int count, int reach,
        int distance, float* __restrict__ out, int regions, int h, int w) {
  __shared__ double scratch[WARPS];
  for (int k = blockIdx.x; k < regions; k += gridDim.x) {
    float* row = out + (size_t)k * FEATURES;
    const int object = own[k];
    if (object < 0) {
      if (threadIdx.x < FEATURES) row[threadIdx.x] = __int_as_float(0x7fc00000);
      continue;
    }
    const int64* box = table + object * 8ll;
    const Labels image = {labels + (uint64)box[0] * h * w, h, w};
    const int start = spans[box[0]], stop = spans[box[0] + 1];
    const int width = box[7] - box[6], pixels = (int)(box[5] - box[4]) * width;
    int all = 0, met = 0, neighbours = 0;
    for (int at = threadIdx.x; at < pixels; at += blockDim.x) {
      const int y = box[4] + at / width, x = box[6] + at % width;
      if (!image.outline(y, x, box[1])) continue;
      all++;
      met += image.meets(y, x, steps, count, 0, box[1]);
    }
    all = block_reduce(all, (int*)scratch, Sum());
    met = block_reduce(met, (int*)scratch, Sum());
    if (threadIdx.x == 0) row[1] = 100.0 * met / all;
    for (int j = start; j < stop; j++) {
      const int64* other = table + j * 8ll;
      if (j == object || !near(box, other, distance)) continue;
      const int found = is_neighbour(image, box, other, steps, reach, distance);
      neighbours += block_reduce(found, (int*)scratch, Max());
    }
    if (threadIdx.x == 0) row[0] = neighbours;
    const Way first = nearest(centres, start, stop, object, -1, scratch);
    const Way second = nearest(centres, start, stop, object, first.object, scratch);
    if (threadIdx.x == 0) describe_closest(first, second, table, row);
  }
}

// Histograms of local binary patterns: see lbp.py and _patterns.py.
// One block of 256 threads a region; blocks go on with region + gridDim.x. Threads take pixels of the
// region's box and count patterns in shared memory, with integer atomics.
// LABEL is the labels' type, or that of the images if BOXES = 1: regions are whole boxes. The label 0
// stands for any other than 0.
#include "_cuda.cuh"

using int64 = long long;

enum : int { DEFAULT, ROR, UNIFORM, NRI_UNIFORM };
enum : int { COLUMNS = PATTERNS };

struct Image {
  const PIXEL* pixels;
  int h, w;

  __device__ __forceinline__ double operator()(int y, int x) const {
    const bool there = 0 <= y && y < h && 0 <= x && x < w;
    return there ? (double)pixels[(uint64)y * w + x] : 0.0;
  }
};

struct Point {  // of the circle: a pixel from the centre, and the way from there, in units
  int dy, dx;
  double down, right;
};

// The order of the operations is that of the CPU code.
__device__ __forceinline__ uint32 code_of(const Image& image, int y, int x, const Point* circle) {
  const double unit = 1e5, centre = image(y, x);
  uint32 code = 0;
#pragma unroll 1
  for (int k = 0; k < POINTS; k++) {
    const int j = y + circle[k].dy, i = x + circle[k].dx;
    const double down = circle[k].down, right = circle[k].right;
    const double a = image(j, i), b = image(j, i + 1);
    const double c = image(j + 1, i), d = image(j + 1, i + 1);
    const double top = unit * a + right * (b - a), bottom = unit * c + right * (d - c);
    const bool on = down == 0.0 && right == 0.0
                        ? a >= centre
                        : unit * top + down * (bottom - top) >= unit * unit * centre;
    code |= (uint32)on << k;
  }
  return code;
}

__device__ __forceinline__ uint32 turned(uint32 code) {
  return code >> 1 | (code & 1) << (POINTS - 1);
}

__device__ __forceinline__ uint32 value_of(uint32 code, const uint32* __restrict__ ranks) {
  const uint32 changes = code ^ turned(code);
  const int count = __popc(code);
  if (METHOD == DEFAULT) return code;
  if (METHOD == ROR) {
    uint32 least = code;
    for (int k = 1; k < POINTS; k++) least = min(least, code = turned(code));
    return ranks[least];
  }
  if (__popc(changes) > 2) return COLUMNS - 1;
  if (METHOD == UNIFORM) return count;
  if (count == 0 || count == POINTS) return count == 0 ? 0 : COLUMNS - 2;
  const int first = __popc((changes & ~code) - 1) + 1;
  return 1 + (count - 1) * POINTS + (POINTS - first) % POINTS;
}

extern "C" __global__ void __launch_bounds__(256)
measure(const PIXEL* __restrict__ images, const LABEL* __restrict__ labels,
        const int64* __restrict__ table, const int* __restrict__ ring,
        const double* __restrict__ weights, const uint32* __restrict__ ranks,
        float* __restrict__ out, int regions, int h, int w) {
  __shared__ uint32 counts[COLUMNS], scratch[8];
  __shared__ Point circle[POINTS];
  if (threadIdx.x < POINTS) {
    const int k = threadIdx.x;
    circle[k] = {ring[2 * k], ring[2 * k + 1], weights[2 * k], weights[2 * k + 1]};
  }
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const int64* box = table + (size_t)region * 8;
    const int y0 = box[4], x0 = box[6], width = (int)box[7] - x0;
    const int pixels = ((int)box[5] - y0) * width;
    const uint64 first = box[0] * h * w;
    const Image image = {images + first, h, w};
    for (int k = threadIdx.x; k < COLUMNS; k += blockDim.x) counts[k] = 0;
    __syncthreads();
    uint32 inside = 0;
    for (int at = threadIdx.x; at < pixels; at += blockDim.x) {
      const int y = y0 + at / width, x = x0 + at % width;
#if !BOXES
      const LABEL label = labels[first + (uint64)y * w + x];
      if (box[1] == 0 ? label == 0 : label != box[1]) continue;
#endif
      inside++;
      atomicAdd(&counts[value_of(code_of(image, y, x, circle), ranks)], 1u);
    }
    inside = block_reduce(inside, scratch, Sum());
#pragma unroll 1
    for (int k = threadIdx.x; k < COLUMNS; k += blockDim.x)
      out[(size_t)region * COLUMNS + k] =
          inside ? (float)((double)counts[k] / inside) : __int_as_float(0x7fc00000);
    __syncthreads();
  }
}

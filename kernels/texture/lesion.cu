// The sums over a lesion and its rims: see _lesion_sums.py, whose twin this is, and lesion.py.
// All sums are integers, so that their order does not matter.
// One block of 256 threads a region; blocks go on with region + gridDim.x. LABEL is the labels' type,
// or that of the images if BOXES = 1: regions are whole boxes. The label 0 stands for any other.
#include "_information.cuh"

// Sums of one region, in the order of _lesion_features.py.
enum : int {
  AREA = 0, PLACE = 1, SUMS = 3, SQUARES = 6, HIGHEST = 9, COLOURS = 12, FOLDED = 18, HALVES = 20,
  OUTLINE = 36, FAR = 37, FROM = 38, FROM_SQUARED = 40, SKIN = 41, SECTORS = 45, TOTAL = 77
};
enum : int { SKIN_KIND, INSIDE, OTHER };

// The frame: the region's box and the rim's width around it, as far as the image goes.
struct Frame {
  const PIXEL* image;
  const LABEL* labels;
  const int64* box;
  int y0, x0, h, w;
  int width;  // of the image

  __device__ __forceinline__ int kind(int y, int x) const {
    if (y < 0 || x < 0 || y >= h || x >= w) return SKIN_KIND;
    y += y0;
    x += x0;
#if BOXES
    return y >= box[4] && y < box[5] && x >= box[6] && x < box[7] ? INSIDE : SKIN_KIND;
#else
    const LABEL found = labels[(uint64)y * width + x];
    if (box[1] == 0 ? found != 0 : found == box[1]) return INSIDE;
    return found > 0 ? OTHER : SKIN_KIND;
#endif
  }
  __device__ __forceinline__ bool inside(int y, int x) const { return kind(y, x) == INSIDE; }
};

struct Axes {
  int b, a;  // the centroid: whole numbers and fractions
  double v, u, cos, sin, cos2, sin2;
};

// One thread: the axes from the sums of 1, y, x, y y, y x and x x.
__device__ Axes axes_of(const int64* sums) {
  const int64 n = sums[0], b = sums[1] / n, a = sums[2] / n;
  const int64 y = sums[1] - b * n, x = sums[2] - a * n;
  const double v = (double)y / n, u = (double)x / n;
  const double yy = (sums[3] - 2 * b * sums[1] + b * b * n) - v * y;
  const double yx = (sums[4] - a * sums[1] - b * sums[2] + a * b * n) - v * x;
  const double xx = (sums[5] - 2 * a * sums[2] + a * a * n) - u * x;
  const double difference = yy - xx, mixed = 2.0 * yx, total = yy + xx;
  const double spread = sqrt(difference * difference + mixed * mixed);
  double cos2 = 1.0, sin2 = 0.0;
  if (spread > 1e-12 * total) {
    cos2 = difference / spread;
    sin2 = mixed / spread;
  }
  const double cos = sqrt(fmax(1.0 + cos2, 0.0) / 2.0), sin = sqrt(fmax(1.0 - cos2, 0.0) / 2.0);
  return {(int)b, (int)a, v, u, cos, sin2 < 0.0 ? -sin : sin, cos2, sin2};
}

__device__ void add_moments(const Frame& frame, int64* moments, int64* scratch) {
  int64 sums[6] = {};
  for (int at = threadIdx.x; at < frame.h * frame.w; at += blockDim.x) {
    const int64 y = at / frame.w, x = at % frame.w;
    if (!frame.inside(y, x)) continue;
    sums[0]++;
    sums[1] += y;
    sums[2] += x;
    sums[3] += y * y;
    sums[4] += y * x;
    sums[5] += x * x;
  }
#pragma unroll
  for (int k = 0; k < 6; k++) {
    const int64 sum = block_reduce(sums[k], scratch, Sum());
    if (threadIdx.x == 0) moments[k] = sum;
  }
  __syncthreads();
}

// steps[pixel] = rows to the nearest pixel of its column that is inside where this one is not, or
// the other way round; rim + 1 if it is farther.
__device__ void measure_columns(const Frame& frame, uint8* steps, int rim) {
  for (int at = threadIdx.x; at < frame.h * frame.w; at += blockDim.x) {
    const int y = at / frame.w, x = at % frame.w;
    const bool here = frame.inside(y, x);
    int step = 1;
    for (; step <= rim; step++) {
      if (y >= step && frame.inside(y - step, x) != here) break;
      if (y + step < frame.h && frame.inside(y + step, x) != here) break;
    }
    steps[at] = step;
  }
  __syncthreads();
}

// Whether the rim's width reaches from a pixel to one of the other kind.
__device__ bool near(const Frame& frame, const uint8* steps, int y, int x, bool here, int rim) {
  for (int i = max(x - rim, 0); i <= min(x + rim, frame.w - 1); i++) {
    const int apart = i - x;
    const int down = frame.inside(y, i) == here ? steps[y * frame.w + i] : 0;
    if (down <= rim && apart * apart + down * down <= rim * rim) return true;
  }
  return false;
}

__device__ __forceinline__ void add(int64* sum, int64 value) {
  atomicAdd((uint64*)sum, (uint64)value);
}

__device__ void add_outline(const Frame& frame, const Axes& axes, int y, int x, int64* sums) {
  if (frame.inside(y - 1, x) && frame.inside(y + 1, x) && frame.inside(y, x - 1) &&
      frame.inside(y, x + 1))
    return;
  const int64 j = y - axes.b, i = x - axes.a;
  const double dy = j - axes.v, dx = i - axes.u;
  add(sums + OUTLINE, 1);
  add(sums + FAR, (int64)(sqrt(dy * dy + dx * dx) * 268435456.0 + 0.5));
  add(sums + FROM, j);
  add(sums + FROM + 1, i);
  add(sums + FROM_SQUARED, j * j + i * i);
}

__device__ __forceinline__ int apart(int red, int green, int blue, int r, int g, int b) {
  return (red - r) * (red - r) + (green - g) * (green - g) + (blue - b) * (blue - b);
}

// The number of the nearest of white, red, light brown, dark brown, blue-grey and black.
__device__ int nearest(int red, int green, int blue) {
  const int squares[6] = {
      apart(red, green, blue, 197, 188, 217), apart(red, green, blue, 118, 21, 17),
      apart(red, green, blue, 163, 82, 16),   apart(red, green, blue, 135, 44, 5),
      apart(red, green, blue, 113, 108, 139), apart(red, green, blue, 41, 31, 30)};
  int best = 0, least = squares[0];
#pragma unroll
  for (int c = 1; c < 6; c++)
    if (squares[c] < least) {
      least = squares[c];
      best = c;
    }
  return best;
}

// Adds a pixel to the half on its side of an axis; on the axis it is in neither.
__device__ void add_half(double side, const int* pixel, int64* halves) {
  if (side == 0.0) return;
  int64* half = halves + (side > 0.0 ? 0 : 4);
  add(half, 1);
  for (int c = 0; c < 3; c++) add(half + 1 + c, pixel[c]);
}

__device__ __forceinline__ bool mirrored(const Frame& frame, const Axes& axes, double y, double x) {
  return frame.inside(axes.b + (int)floor(y + 0.5), axes.a + (int)floor(x + 0.5));
}

// What each thread sums by itself: the colours inside and the mirror images.
struct Own {
  int64 sums[3] = {}, squares[3] = {};
  int highest[3] = {}, folded[2] = {};
};

__device__ void add_pixel(const Frame& frame, const Axes& axes, const uint8* steps, int y, int x,
                          int rim, int shift, Own& own, int64* sums) {
  const int kind = frame.kind(y, x);
  if (kind == OTHER) return;
  const bool here = kind == INSIDE, rims = near(frame, steps, y, x, here, rim);
  if (!here && !rims) return;
  int pixel[3], bright = 0;
#pragma unroll
  for (int c = 0; c < 3; c++) {
    pixel[c] = frame.image[((uint64)(frame.y0 + y) * frame.width + frame.x0 + x) * 3 + c];
    bright += pixel[c];
  }
  const double dy = (y - axes.b) - axes.v, dx = (x - axes.a) - axes.u;
  const double along = axes.cos * dy + axes.sin * dx, across = axes.cos * dx - axes.sin * dy;
  const int sector = 4 * (along < 0.0) + 2 * (across < 0.0) + (fabs(across) > fabs(along));
  if (rims) {
    int64* to = sums + SECTORS + 4 * sector + (here ? 0 : 2);
    add(to, 1);
    add(to + 1, bright);
  }
  if (!here) {
    add(sums + SKIN, 1);
    for (int c = 0; c < 3; c++) add(sums + SKIN + 1 + c, pixel[c]);
    return;
  }
#pragma unroll
  for (int c = 0; c < 3; c++) {
    own.sums[c] += pixel[c];
    own.squares[c] += (int64)pixel[c] * pixel[c];
    own.highest[c] = max(own.highest[c], pixel[c]);
  }
  add(sums + COLOURS + nearest(pixel[0] >> shift, pixel[1] >> shift, pixel[2] >> shift), 1);
  add_half(across, pixel, sums + HALVES);
  add_half(along, pixel, sums + HALVES + 8);
  const double my = axes.cos2 * dy + axes.sin2 * dx, mx = axes.sin2 * dy - axes.cos2 * dx;
  own.folded[0] += mirrored(frame, axes, axes.v + my, axes.u + mx);
  own.folded[1] += mirrored(frame, axes, axes.v - my, axes.u - mx);
  add_outline(frame, axes, y, x, sums);
}

__device__ void collect(const Own& own, int64* sums, int64* scratch) {
#pragma unroll
  for (int c = 0; c < 3; c++) {
    const int64 sum = block_reduce(own.sums[c], scratch, Sum());
    const int64 squares = block_reduce(own.squares[c], scratch, Sum());
    const int highest = block_reduce(own.highest[c], (int*)scratch, Max());
    const int folded = block_reduce(c < 2 ? own.folded[c % 2] : 0, (int*)scratch, Sum());
    if (threadIdx.x != 0) continue;
    sums[SUMS + c] = sum;
    sums[SQUARES + c] = squares;
    sums[HIGHEST + c] = highest;
    if (c < 2) sums[FOLDED + c] = folded;
  }
  __syncthreads();
}

extern "C" __global__ void __launch_bounds__(256, 2)
add_up(const PIXEL* __restrict__ images, const LABEL* __restrict__ labels,
       const int64* __restrict__ table, const int64* __restrict__ starts,
       uint8* __restrict__ workspace, int64* __restrict__ totals, int regions, int height,
       int width, int rim, int shift) {
  __shared__ int64 sums[TOTAL], moments[6], scratch[8];
  __shared__ Axes axes;
  for (int k = blockIdx.x; k < regions; k += gridDim.x) {
    const int64* box = table + (uint64)k * 8;
    const uint64 corner = (uint64)box[0] * height * width;
    const int y0 = max((int)box[4] - rim, 0), x0 = max((int)box[6] - rim, 0);
    const Frame frame = {images + 3 * corner, labels + corner, box, y0, x0,
                         min((int)box[5] + rim, height) - y0, min((int)box[7] + rim, width) - x0,
                         width};
    uint8* steps = workspace + starts[k];
    if (threadIdx.x < TOTAL) sums[threadIdx.x] = 0;
    add_moments(frame, moments, scratch);
    if (threadIdx.x == 0 && moments[0]) {
      axes = axes_of(moments);
      for (int m = 0; m < 3; m++) sums[AREA + m] = moments[m];
    }
    if (moments[0]) {
      measure_columns(frame, steps, rim);
      Own own;
      for (int at = threadIdx.x; at < frame.h * frame.w; at += blockDim.x)
        add_pixel(frame, axes, steps, at / frame.w, at % frame.w, rim, shift, own, sums);
      __syncthreads();
      collect(own, sums, scratch);
    }
    if (threadIdx.x < TOTAL) totals[k * (uint64)TOTAL + threadIdx.x] = sums[threadIdx.x];
    __syncthreads();
  }
}

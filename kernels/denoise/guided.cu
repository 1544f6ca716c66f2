// Guided filter: one pass along each axis adds up moments (see _guided_windows.py) of windows of
// 2 radius + 1, the last of them fits a and b; then like passes add up a and b. A thread
// a pixel; the neighbours along the axis come from the caches.
//
//     axis     its length, the step from one pixel to the next, and how many pixels the sums of an
//              element hold already
//     FIRST    the pass reads pixels, each a set of one     LAST    the pass completes the windows
#include "_cuda.cuh"

enum : int { THREADS = 256 };

// Element `at` of image `image` in field `k` of arrays (image, field, pixel).
__device__ uint64 place(int image, int fields, int k, int size, int at) {
  return ((uint64)image * fields + k) * size + at;
}

struct Window {
  int radius, length, step, here, start;

  __device__ Window(int at, int radius, int length, int step)
      : radius(radius), length(length), step(step) {
    here = at / step % length;
    start = at - here * step;
  }
  // Calls visit(index) for every element, from first to last.
  template <typename Visit> __device__ void each(Visit visit) const {
    for (int j = here - radius; j <= here + radius; j++)
      visit(start + clamp_index(j, length) * step);
  }
};

extern "C" __global__ void __launch_bounds__(THREADS, 4)
    moments(const PIXEL* __restrict__ guides, const PIXEL* __restrict__ images,
            const float* __restrict__ from, float* __restrict__ to,
            const float* __restrict__ sigma, float strength, int n, int size, int radius,
            int length, int step, int count) {
  const int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= size) return;
  const Window window(at, radius, length, step);
  const float side = 2 * radius + 1, held = count;
  for (int image = blockIdx.y; image < n; image += gridDim.y) {
    const uint64 first = (uint64)image * size;
    auto sum_of = [&](int k, int i) {
      if (FIRST) return (float)(k == 0 ? guides : images)[first + i];
      return from[place(image, FIELDS, k, size, i)];
    };
    auto product_of = [&](int k, int i) {
      return FIRST ? 0.0f : from[place(image, FIELDS, k + 1, size, i)];
    };
    float sums[FIELDS / 2] = {}, products[FIELDS / 2] = {}, means[FIELDS / 2];
    window.each([&](int i) {
      for (int k = 0; k < FIELDS; k += 2) sums[k / 2] += sum_of(k, i);
    });
    for (int k = 0; k < FIELDS; k += 2) means[k / 2] = sums[k / 2] / side;
    window.each([&](int i) {
      const float by = (sum_of(0, i) - means[0]) / held;
      for (int k = 0; k < FIELDS; k += 2)
        products[k / 2] += product_of(k, i) + by * (sum_of(k, i) - means[k / 2]);
    });
    if (LAST) {
      const float all = side * held, range = strength * sigma[image];
      const float mean = sums[0] / all, variance = products[0] / all;
      const bool flat = !(variance > 1e-12f * mean * mean);
      const float a = flat ? 0.0f : products[FIELDS / 2 - 1] / all / (variance + range * range);
      to[place(image, 2, 0, size, at)] = a;
      to[place(image, 2, 1, size, at)] = sums[FIELDS / 2 - 1] / all - a * mean;
    } else {
      for (int k = 0; k < FIELDS; k += 2) {
        to[place(image, FIELDS, k, size, at)] = sums[k / 2];
        to[place(image, FIELDS, k + 1, size, at)] = products[k / 2];
      }
    }
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, 4)
    sums(const PIXEL* __restrict__ guides, const float* __restrict__ from, float* __restrict__ to,
         PIXEL* __restrict__ out, int n, int size, int radius, int length, int step, int count) {
  const int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= size) return;
  const Window window(at, radius, length, step);
  for (int image = blockIdx.y; image < n; image += gridDim.y) {
    float a = 0.0f, b = 0.0f;
    window.each([&](int i) {
      a += from[place(image, 2, 0, size, i)];
      b += from[place(image, 2, 1, size, i)];
    });
    if (LAST) {
      const uint64 pixel = (uint64)image * size + at;
      const float all = (2 * radius + 1) * count;
      set_pixel(out[pixel], (a * (float)guides[pixel] + b) / all);
    } else {
      to[place(image, 2, 0, size, at)] = a;
      to[place(image, 2, 1, size, at)] = b;
    }
  }
}

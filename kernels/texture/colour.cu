// Moments and histograms of the channels of packed colours, gathered by _values.cu: see colour.py.
// One block of 256 threads a region; blocks go on with region + gridDim.x. A thread sums every 256th
// pixel and the tree over threads is that of the CPU code: the same bits as there.
#include "_cuda.cuh"
#include "_colour.cuh"
#include "_angle.cuh"

using int64 = long long;

enum : int { THREADS = 256, CHANNELS = 9, HUE = 3, MOMENTS = 5, OF_HUE = 3 };
enum : int { PLAIN = CHANNELS - 1, FIRST_SHARE = MOMENTS * PLAIN + OF_HUE };
enum Space : int { RGB, HSV, LAB };

struct Number {  // a packed colour
  int whole;

  __device__ __forceinline__ int red() const { return whole & 255; }
  __device__ __forceinline__ int green() const { return whole >> 8 & 255; }
  __device__ __forceinline__ int blue() const { return whole >> 16; }
};

template <Space SPACE>
__device__ __forceinline__ Colour channels(float packed, const float* light) {
  const Number of = {(int)packed};
  if (SPACE == LAB) return to_lab(light[of.red()], light[of.green()], light[of.blue()]);
  const Colour rgb = {(float)of.red(), (float)of.green(), (float)of.blue()};
  if (SPACE == RGB) return rgb;
  const Colour hsv = to_hsv(rgb.first, rgb.second, rgb.third);
  return {hsv.first, hsv.second, hsv.third / 255.0f};
}

__device__ __forceinline__ int bin_of(float v, int channel, const float* scales) {
  return min(max((int)((v - scales[2 * channel]) * scales[2 * channel + 1]), 0), BINS - 1);
}

// ---- channels that are no angle: powers of v - origin, least and greatest v

struct Moments {
  double first, second, third;
  float low, high;

  __device__ __forceinline__ void add(float v, float origin) {
    const double away = (double)v - (double)origin, square = away * away;
    first += away;
    second += square;
    third += square * away;
    low = fminf(low, v);
    high = fmaxf(high, v);
  }
};

// `row` at the features of this channel
__device__ void finish(Moments sums, float origin, int total, double* scratch, float* row) {
  const double first = block_reduce(sums.first, scratch, Sum()) / total;
  const double second = block_reduce(sums.second, scratch, Sum()) / total;
  const double third = block_reduce(sums.third, scratch, Sum()) / total;
  const float low = block_reduce(sums.low, (float*)scratch, Min());
  const float high = block_reduce(sums.high, (float*)scratch, Max());
  if (threadIdx.x != 0) return;
  const double variance = second - first * first;
  const double cubes = third - first * (3.0 * second - 2.0 * (first * first));
  row[0] = (float)((double)origin + first);
  row[PLAIN] = (float)sqrt(fmax(variance, 0.0));
  row[2 * PLAIN] = variance > 0.0 ? (float)(cubes / (variance * sqrt(variance))) : 0.0f;
  row[3 * PLAIN] = low;
  row[4 * PLAIN] = high;
}

// One space of three channels; `row` at the features of its first that is no angle.
template <Space SPACE>
__device__ void measure_space(const float* numbers, int total, const float* light,
                              const float* scales, uint32* counts, double* scratch, float* row) {
  const Colour origin = channels<SPACE>(numbers[0], light);
  Moments one = {0.0, 0.0, 0.0, origin.first, origin.first};
  Moments two = {0.0, 0.0, 0.0, origin.second, origin.second};
  Moments three = {0.0, 0.0, 0.0, origin.third, origin.third};
  for (int at = threadIdx.x; at < total; at += THREADS) {
    const Colour v = channels<SPACE>(numbers[at], light);
    if (SPACE != HSV) {
      one.add(v.first, origin.first);
      atomicAdd(&counts[3 * SPACE * BINS + bin_of(v.first, 3 * SPACE, scales)], 1u);
    }
    two.add(v.second, origin.second);
    three.add(v.third, origin.third);
    atomicAdd(&counts[(3 * SPACE + 1) * BINS + bin_of(v.second, 3 * SPACE + 1, scales)], 1u);
    atomicAdd(&counts[(3 * SPACE + 2) * BINS + bin_of(v.third, 3 * SPACE + 2, scales)], 1u);
  }
  if (SPACE != HSV) finish(one, origin.first, total, scratch, row++);
  finish(two, origin.second, total, scratch, row++);
  finish(three, origin.third, total, scratch, row);
}

// ---- the hue

struct Point {
  double cosine, sine;
};

// Of this part of a turn, 0 <= part <= 1.
__device__ Point point_at(double part) {
  const double quarter = floor(4.0 * part + 0.5);
  const double x = (part - 0.25 * quarter) * TURN, square = x * x;
  double c = 1.0, s = 1.0;
#pragma unroll 1
  for (int k = 16; k > 0; k -= 2) {
    c = 1.0 - c * square * (1.0 / (k * (k - 1)));
    s = 1.0 - s * square * (1.0 / (k * (k + 1)));
  }
  s *= x;
  const bool upright = quarter == 1.0 || quarter == 3.0;
  const double across = upright ? s : c, up = upright ? c : s;
  return {quarter == 1.0 || quarter == 2.0 ? -across : across,
          quarter == 2.0 || quarter == 3.0 ? -up : up};
}

// Returns how many pixels have a hue.
__device__ double measure_hue(const float* numbers, int total, const float* scales, uint32* counts,
                              double* scratch, float* row) {
  double number = 0.0, c1 = 0.0, s1 = 0.0, c2 = 0.0, s2 = 0.0;
  for (int at = threadIdx.x; at < total; at += THREADS) {
    const Colour hsv = channels<HSV>(numbers[at], nullptr);
    if (!(hsv.second > 0.0f)) continue;
    const Point p = point_at(hsv.first);
    number += 1.0;
    c1 += p.cosine;
    s1 += p.sine;
    c2 += p.cosine * p.cosine - p.sine * p.sine;
    s2 += 2.0 * (p.cosine * p.sine);
    atomicAdd(&counts[HUE * BINS + bin_of(hsv.first, HUE, scales)], 1u);
  }
  number = block_reduce(number, scratch, Sum());
  c1 = block_reduce(c1, scratch, Sum()) / number;
  s1 = block_reduce(s1, scratch, Sum()) / number;
  c2 = block_reduce(c2, scratch, Sum()) / number;
  s2 = block_reduce(s2, scratch, Sum()) / number;
  if (threadIdx.x == 0) {
    const double square = c1 * c1 + s1 * s1, length = sqrt(square), rest = 2.0 * (1.0 - length);
    const double twisted = s2 * (c1 * c1 - s1 * s1) - c2 * (2.0 * (c1 * s1));
    const float nothing = __int_as_float(0x7fc00000);
    const bool sure = length >= 1e-9;
    row[0] = sure ? (float)(angle(s1, c1) / TURN) : nothing;
    row[1] = rest < 0.0 ? 0.0f : (float)sqrt(rest);
    row[2] = sure ? (float)(twisted / square) : nothing;
  }
  return number;
}

extern "C" __global__ void __launch_bounds__(THREADS, 3)
measure(const float* __restrict__ gathered, const int64* __restrict__ spans,
        const float* __restrict__ linear_light, const float* __restrict__ scale,
        float* __restrict__ out, int regions) {
  __shared__ uint32 counts[CHANNELS * BINS];
  __shared__ float light[THREADS], scales[2 * CHANNELS];
  __shared__ double scratch[THREADS / WARP];
  light[threadIdx.x] = linear_light[threadIdx.x];
  if (threadIdx.x < 2 * CHANNELS) scales[threadIdx.x] = scale[threadIdx.x];
  const int columns = FIRST_SHARE + CHANNELS * BINS;
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const float* numbers = gathered + spans[2 * region];
    const int total = spans[2 * region + 1];
    float *row = out + (size_t)region * columns, *shares = row + FIRST_SHARE;
    if (total == 0) {
      for (int k = threadIdx.x; k < columns; k += THREADS) row[k] = __int_as_float(0x7fc00000);
      continue;
    }
    for (int k = threadIdx.x; k < CHANNELS * BINS; k += THREADS) counts[k] = 0;
    __syncthreads();
    measure_space<RGB>(numbers, total, light, scales, counts, scratch, row);
    measure_space<HSV>(numbers, total, light, scales, counts, scratch, row + 3);
    measure_space<LAB>(numbers, total, light, scales, counts, scratch, row + 5);
    const double coloured =
        measure_hue(numbers, total, scales, counts, scratch, row + MOMENTS * PLAIN);
    __syncthreads();
    for (int k = threadIdx.x; k < CHANNELS * BINS; k += THREADS)
      shares[k] = (float)(counts[k] / (k / BINS == HUE ? coloured : (double)total));
    __syncthreads();
  }
}

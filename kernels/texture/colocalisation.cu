// Colocalisation of two channels: see colocalisation.py. One block of 256 threads a region; blocks go
// on with region + gridDim.x. Sums, ranks and Costes' search are the twin of _pairs.py: a thread sums
// every 256th pair and the tree over threads is that of the CPU code: the same bits as there.
// LABEL is the labels' type, or that of the images if BOXES = 1: regions are whole boxes. The label 0
// stands for any other than 0.
#include "_values.cuh"

enum : int { FEATURES = 13, THREADS = 256, KEY_DIGITS = 16, KEY_BITS = 4, TURNS = 256 };

#define FLAT 1e-13  // see _pairs.py
#define NOT_A_NUMBER __longlong_as_double(0x7ff8000000000000ll)
#define INFINITE __longlong_as_double(0x7ff0000000000000ll)

struct Pairs {
  const float *first, *second;
  int count;
};

// ---- sums

struct Sums {
  double n, a, b, aa, bb, ab;

  __device__ double covariance() const { return n * ab - a * b; }
  __device__ double variance(double sum, double squares) const {
    const double spread = n * squares - sum * sum;
    return spread > FLAT * (n * squares) ? spread : 0.0;
  }
  __device__ double variance_a() const { return variance(a, aa); }
  __device__ double variance_b() const { return variance(b, bb); }
};

// Over the pairs with sign a < low or sign b < high, from an origin.
__device__ __noinline__ Sums sums(const Pairs& pairs, double sign, double low, double high,
                                  double origin_a, double origin_b, double* scratch) {
  Sums found = {};
  for (int at = threadIdx.x; at < pairs.count; at += THREADS) {
    double a = pairs.first[at], b = pairs.second[at];
    if (!(sign * a < low || sign * b < high)) continue;
    a -= origin_a;
    b -= origin_b;
    found.n += 1.0;
    found.a += a;
    found.b += b;
    found.aa += a * a;
    found.bb += b * b;
    found.ab += a * b;
  }
  double* each = &found.n;
#pragma unroll
  for (int k = 0; k < 6; k++) each[k] = block_reduce(each[k], scratch, Sum());
  return found;
}

struct Shares {
  double all_a, all_b, a, b, count;
};

__device__ __noinline__ Shares shares(const Pairs& pairs, double low, double high,
                                      double above_low, double above_high, double* scratch) {
  Shares found = {};
  for (int at = threadIdx.x; at < pairs.count; at += THREADS) {
    const double a = pairs.first[at], b = pairs.second[at];
    if (a >= low) found.all_a += a;
    if (b >= high) found.all_b += b;
    if (!(a >= above_low && b >= above_high)) continue;
    found.a += a;
    found.b += b;
    found.count += 1.0;
  }
  double* each = &found.all_a;
#pragma unroll
  for (int k = 0; k < 5; k++) each[k] = block_reduce(each[k], scratch, Sum());
  return found;
}

struct Products {
  double aa, bb, ab, ranked_a, ranked_b;
};

__device__ Products products(const Pairs& pairs, const int* ranks, const int* beside, double low,
                             double high, int most, double* scratch) {
  Products found = {};
  for (int at = threadIdx.x; at < pairs.count; at += THREADS) {
    const double a = pairs.first[at], b = pairs.second[at];
    if (!(a >= low && b >= high)) continue;
    const double weight = (double)(most - abs(ranks[at] - beside[at])) / (double)most;
    found.aa += a * a;
    found.bb += b * b;
    found.ab += a * b;
    found.ranked_a += a * weight;
    found.ranked_b += b * weight;
  }
  double* each = &found.aa;
#pragma unroll
  for (int k = 0; k < 5; k++) each[k] = block_reduce(each[k], scratch, Sum());
  return found;
}

// ---- ranks: a thread has a stretch of the pairs of key and number

__device__ uint32 block_scan(uint32 value, uint32* scratch, uint32& total) {
  const int warp = threadIdx.x / WARP;
  uint32 up_to = warp_scan(value);
  if (threadIdx.x % WARP == WARP - 1) scratch[warp] = up_to;
  __syncthreads();
  total = 0;
  for (int k = 0; k < WARPS; k++) {
    if (k == warp) up_to += total;
    total += scratch[k];
  }
  __syncthreads();
  return up_to;
}

// One pass of a sort by digits; equal ones stay in their order.
__device__ void sort_digit(const uint64* from, uint64* to, int first, int stop, int shift,
                           uint32 (*places)[THREADS], uint32* scratch) {
  for (int digit = 0; digit < KEY_DIGITS; digit++) places[digit][threadIdx.x] = 0;
#pragma unroll 1
  for (int k = first; k < stop; k++) places[from[k] >> shift & (KEY_DIGITS - 1)][threadIdx.x]++;
  uint32 before = 0;
#pragma unroll 1
  for (int digit = 0; digit < KEY_DIGITS; digit++) {
    const uint32 here = places[digit][threadIdx.x];
    uint32 total;
    places[digit][threadIdx.x] = before + block_scan(here, scratch, total) - here;
    before += total;
  }
#pragma unroll 1
  for (int k = first; k < stop; k++)
    to[places[from[k] >> shift & (KEY_DIGITS - 1)][threadIdx.x]++] = from[k];
  __syncthreads();
}

// ranks[k] = how many different values are less than value k; the greatest rank.
__device__ __noinline__ int dense_ranks(const float* values, int count, uint64* pairs,
                                        uint64* spare, int* ranks, uint32 (*places)[THREADS],
                                        uint32* scratch) {
  for (int at = threadIdx.x; at < count; at += THREADS)
    pairs[at] = (uint64)float_to_key(values[at]) << 32 | at;
  __syncthreads();
  const int stretch = ceil_div(count, (int)THREADS);
  const int first = min((int)threadIdx.x * stretch, count), stop = min(first + stretch, count);
#pragma unroll 1
  for (int shift = 32; shift < 64; shift += KEY_BITS) {
    sort_digit(pairs, spare, first, stop, shift, places, scratch);
    uint64* const sorted = spare;
    spare = pairs;
    pairs = sorted;
  }
  uint32 changes = 0, total;
#pragma unroll 1
  for (int k = max(first, 1); k < stop; k++) changes += pairs[k] >> 32 != pairs[k - 1] >> 32;
  uint32 rank = block_scan(changes, scratch, total) - changes;
#pragma unroll 1
  for (int k = first; k < stop; k++) {
    if (k) rank += pairs[k] >> 32 != pairs[k - 1] >> 32;
    ranks[(uint32)pairs[k]] = rank;
  }
  __syncthreads();
  return total;
}

// ---- Costes' thresholds

struct Line {
  double slope, intercept;
};

__device__ Line line(const Sums& found, double origin_a, double origin_b) {
  const double of_a = found.variance_a(), of_b = found.variance_b(), both = found.covariance();
  const double more = of_b - of_a;
  if (found.n < 3.0 || of_a == 0.0 || of_b == 0.0 || fabs(both) <= FLAT * fmax(of_a, of_b))
    return {NOT_A_NUMBER, NOT_A_NUMBER};
  const double slope = (more + sqrt(more * more + 4.0 * (both * both))) / (2.0 * both);
  const double at_a = found.a / found.n + origin_a, at_b = found.b / found.n + origin_b;
  return {slope, at_b - slope * at_a};
}

__device__ int correlated(const Sums& found) {
  if (found.n < 3.0 || found.variance_a() == 0.0 || found.variance_b() == 0.0) return 0;
  return found.covariance() >= 0.0 ? 1 : -1;
}

struct Thresholds {
  double low, high;
};

__device__ Thresholds search(const Pairs& pairs, double greatest_a, double greatest_b,
                             double origin_a, double origin_b, int of_whole, int steps, double unit,
                             double* scratch) {
  const Thresholds none = {NOT_A_NUMBER, NOT_A_NUMBER};
  const Line on =
      line(sums(pairs, -1.0, 0.0, 0.0, origin_a, origin_b, scratch), origin_a, origin_b);
  if (on.slope != on.slope) return none;
  int64 left = 1, right = steps, last = 0, valid = -1, middle = (right - left) * 5 / 6 + left;
#pragma unroll 1
  for (int turns = 0; last != middle; turns++) {
    if (turns == TURNS) return none;
    const double low = middle * unit, high = on.slope * low + on.intercept;
    int sign = of_whole;
    if (low <= greatest_a && high <= greatest_b)
      sign = correlated(sums(pairs, 1.0, low, high, origin_a, origin_b, scratch));
    if (sign > 0) {
      right = middle + 1;
      valid = middle;
    } else {
      left = middle - 1;
    }
    last = middle;
    middle = left + (right - left > 6 ? (right - left) * 5 / 6 : (right - left) / 2);
  }
  if (valid < 0) return none;
  const double low = (valid - 1) * unit, high = on.slope * low + on.intercept;
  if (!correlated(sums(pairs, 1.0, low, high, origin_a, origin_b, scratch))) return none;
  return {low, high};
}

// The next greater number: a > low is a >= next(low).
__device__ __forceinline__ double next(double x) {
  if (x == 0.0) return __longlong_as_double(1);
  return __longlong_as_double(__double_as_longlong(x) + (x > 0.0 ? 1 : -1));
}

// ---- features, each group written by one thread as soon as it is known

__device__ void describe_correlation(const Sums& whole, double* out) {
  const double of_a = whole.variance_a(), of_b = whole.variance_b(), both = whole.covariance();
  out[0] = of_a > 0.0 && of_b > 0.0 ? both / sqrt(of_a * of_b) : NOT_A_NUMBER;
  out[1] = of_a > 0.0 ? both / of_a : NOT_A_NUMBER;
}

__device__ void describe_coexistence(const Shares& bright, const Products& sum, double* out) {
  const bool any = bright.count > 0.0;
  out[2] = any ? bright.a / bright.all_a : 0.0;
  out[3] = any ? bright.b / bright.all_b : 0.0;
  out[4] = any ? sum.ab / sqrt(sum.aa * sum.bb) : 0.0;
  out[5] = any ? sum.ab / sum.aa : 0.0;
  out[6] = any ? sum.ab / sum.bb : 0.0;
  out[7] = any ? sum.ranked_a / bright.all_a : 0.0;
  out[8] = any ? sum.ranked_b / bright.all_b : 0.0;
}

__device__ void describe_costes(const Shares& above, const Thresholds& at, double* out) {
  const bool any = above.all_a > 0.0 && above.all_b > 0.0 && at.low == at.low;
  out[9] = any ? above.a / above.all_a : NOT_A_NUMBER;
  out[10] = any ? above.b / above.all_b : NOT_A_NUMBER;
  out[11] = at.low;
  out[12] = at.high;
}

// ---- the pixels of a region

struct Images {
  const PIXEL *first, *second;
  const LABEL* labels;
  int d, h, w;
};

// The finite pairs of a box inside the region, row after row; how many there are.
__device__ int collect(const Images& images, const int64* box, float* first, float* second,
                       uint32* votes) {
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  const int height = box[5] - box[4], width = box[7] - box[6];
  const int pixels = (int)(box[3] - box[2]) * height * width;
  const uint64 corner = ((box[0] * images.d + box[2]) * images.h + box[4]) * images.w + box[6];
  const float infinite = __int_as_float(0x7f800000);
  int found = 0;
  for (int start = 0; start < pixels; start += THREADS) {
    const int at = start + threadIdx.x;
    bool keep = false;
    float a = 0.0f, b = 0.0f;
    if (at < pixels) {
      const int row = at / width, z = row / height, y = row % height;
      const uint64 of = corner + ((uint64)z * images.h + y) * images.w + at % width;
      a = (float)images.first[of] + 0.0f;  // -0 becomes 0
      b = (float)images.second[of] + 0.0f;
      keep = fabsf(a) < infinite && fabsf(b) < infinite;
#if !BOXES
      const LABEL label = images.labels[of];
      keep = keep && (box[1] == 0 ? label != 0 : label == box[1]);
#endif
    }
    const uint32 kept = __ballot_sync(FULL_WARP, keep);
    if (lane == 0) votes[warp] = __popc(kept);
    __syncthreads();
    int place = found + __popc(kept & ((1u << lane) - 1));
    for (int k = 0; k < WARPS; k++) {
      if (k < warp) place += votes[k];
      found += votes[k];
    }
    if (keep) {
      first[place] = a;
      second[place] = b;
    }
    __syncthreads();
  }
  return found;
}

extern "C" __global__ void __launch_bounds__(THREADS, 2)
measure(const PIXEL* __restrict__ images, const PIXEL* __restrict__ other,
        const LABEL* __restrict__ labels, const int64* __restrict__ table,
        const int64* __restrict__ starts, float* __restrict__ taken, uint64* __restrict__ sorting,
        int* __restrict__ ranks, float* __restrict__ out, uint64 total, int regions, int d, int h,
        int w, double share, int steps, double unit) {
  __shared__ uint32 places[KEY_DIGITS][THREADS];
  __shared__ double scratch[WARPS], features[FEATURES];
  for (int k = blockIdx.x; k < regions; k += gridDim.x) {
    float *row = out + (size_t)k * FEATURES, *first = taken + starts[k], *second = first + total;
    const int count =
        collect({images, other, labels, d, h, w}, table + k * 8, first, second, (uint32*)scratch);
    if (count == 0) {
      if (threadIdx.x < FEATURES) row[threadIdx.x] = __int_as_float(0x7fc00000);
      continue;
    }
    const Pairs pairs = {first, second, count};
    uint64 *sorted = sorting + starts[k], *spare = sorted + total;
    int *rank = ranks + starts[k], *beside = rank + total;
    uint32* words = (uint32*)scratch;
    const int top = dense_ranks(first, count, sorted, spare, rank, places, words);
    const int most = 1 + max(top, dense_ranks(second, count, sorted, spare, beside, places, words));
    const double greatest_a = extent(first, count, words).greatest;
    const double greatest_b = extent(second, count, words).greatest;
    const double low = share * greatest_a, high = share * greatest_b;
    const Shares bright = shares(pairs, low, high, low, high, scratch);
    const Products sum = products(pairs, rank, beside, low, high, most, scratch);
    if (threadIdx.x == 0) describe_coexistence(bright, sum, features);

    const Sums raw = sums(pairs, 1.0, INFINITE, INFINITE, 0.0, 0.0, scratch);
    const double origin_a = floor(raw.a / raw.n), origin_b = floor(raw.b / raw.n);
    const Sums whole = sums(pairs, 1.0, INFINITE, INFINITE, origin_a, origin_b, scratch);
    if (threadIdx.x == 0) describe_correlation(whole, features);
    const Thresholds at = search(pairs, greatest_a, greatest_b, origin_a, origin_b,
                                 correlated(whole), steps, unit, scratch);
    const Shares above = shares(pairs, at.low, at.high, next(at.low), next(at.high), scratch);
    if (threadIdx.x == 0) describe_costes(above, at, features);
    __syncthreads();
    if (threadIdx.x < FEATURES) row[threadIdx.x] = features[threadIdx.x];
    __syncthreads();
  }
}

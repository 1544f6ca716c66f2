// Noise level of images. `keys` makes seven keys of every block of 4 x 4 pixels (see
// _noise_blocks.py); `sigmas` and `gains` read an image's keys, one block of threads an image.
#include "_cuda.cuh"

enum : int { THREADS = 128, FINE = 0, COARSE = 4, MEAN = 5, WIDE = 6, KEYS = 7 };
enum : int { FEW = 64, ROUNDS = 3, BINS = 8 };
enum : uint32 { MISSING = 0xffffffffu };

#define HUGE_MEAN 1e38f
#define HALF 0.67448975f
#define TENTH 1.6448536f
#define COLOURED 2.5f
#define TAILS 1.8f
#define TAKEN 1.4f
#define SPREAD 1.95f
#define EDGES 1.5f
#define CUT 2.0f
#define INNER 0.63916f
#define RAYLEIGH 1.9130584f
#define CENTRED 1.7f

__device__ bool finite(float x) { return fabsf(x) < __int_as_float(0x7f800000); }

__device__ uint32 key_of(float value) { return finite(value) ? float_to_key(value) : MISSING; }

// The k-th of `rows` rows out of `total`: one of each stratum, in step with nothing.
__device__ uint64 row_of(uint64 k, uint64 rows, uint64 total) {
  const uint64 first = k * total / rows, stop = (k + 1) * total / rows;
  return first + (((k * 40503) & 0xffff) * (stop - first) >> 16);
}

#ifdef PIXEL

// A block of threads takes THREADS blocks of a row, which it reads by way of shared memory.
extern "C" __global__ void __launch_bounds__(THREADS)
    keys(const PIXEL* __restrict__ volumes, const uint8* __restrict__ masks,
         uint32* __restrict__ out, int n, int d, int h, int w, int rows, int columns, bool flats,
         bool magnitude) {
  __shared__ float4 tile[4][THREADS];
  const int down = h / 4, first = blockIdx.x * THREADS, x = first + threadIdx.x;
  const uint64 size = (uint64)rows * columns;
  for (int i = blockIdx.z; i < n; i += gridDim.z)
    for (int k = blockIdx.y; k < rows; k += gridDim.y) {
      const uint64 row = row_of(k, rows, (uint64)d * down);
      const uint64 start = (((uint64)i * d + row / down) * h + row % down * 4) * w + 4 * first;
      const int length = 4 * min(THREADS, columns - first);
      for (int j = 0; j < 4; j++)
        for (int l = threadIdx.x; l < length; l += THREADS) {
          const uint64 at = start + (uint64)j * w + l;
          const bool inside = masks == nullptr || masks[at] != 0;
          ((float*)tile[j])[l] = inside ? (float)volumes[at] : __int_as_float(0x7fc00000);
        }
      __syncthreads();
      float whole = __int_as_float(0x7fc00000);
      uint32* line = out + (uint64)i * KEYS * size + (uint64)k * columns + x;
      if (x < columns) {
        float lowest = __int_as_float(0x7f800000), highest = -lowest, half[2][2];
        bool present = true;
        float4 pixels[4];
#pragma unroll
        for (int j = 0; j < 4; j++) {
          const float4 p = pixels[j] = tile[j][threadIdx.x];
          present = present && finite(p.x) && finite(p.y) && finite(p.z) && finite(p.w);
          lowest = fminf(lowest, fminf(fminf(p.x, p.y), fminf(p.z, p.w)));
          highest = fmaxf(highest, fmaxf(fmaxf(p.x, p.y), fmaxf(p.z, p.w)));
        }
        present = present && lowest < highest;
#pragma unroll
        for (int j = 0; j < 2; j++)
#pragma unroll
          for (int l = 0; l < 2; l++) {
            const float4 p = pixels[2 * j], q = pixels[2 * j + 1];
            const float a = l ? p.z : p.x, b = l ? p.w : p.y;
            const float c = l ? q.z : q.x, e = l ? q.w : q.y;
            half[j][l] = (a + b) + (c + e);
            const bool seen = present && (flats || !(a == b && a == c && a == e));
            line[(FINE + 2 * j + l) * size] =
                seen ? key_of(fabsf((a - b) - (c - e))) : (uint32)MISSING;
          }
        const float across = half[0][0] - half[0][1], below = half[1][0] - half[1][1];
        if (present) whole = (half[0][0] + half[0][1]) + (half[1][0] + half[1][1]);
        const float mean = magnitude && lowest < 0.0f ? HUGE_MEAN : whole * 0.0625f;
        line[COARSE * size] = present ? key_of(fabsf(across - below)) : (uint32)MISSING;
        line[MEAN * size] = present ? key_of(mean) : (uint32)MISSING;
      }
      const float next = __shfl_xor_sync(FULL_WARP, whole, 1);
      if (x < columns) line[WIDE * size] = x % 2 ? (uint32)MISSING : key_of(fabsf(whole - next));
      __syncthreads();
    }
}

#else

// How many keys are below the limit, by all threads.
__device__ int count_of(const uint32* keys, uint64 size, uint32 limit, int* scratch) {
  int count = 0;
  for (uint64 k = threadIdx.x; k < size; k += THREADS) count += keys[k] < limit;
  return block_reduce(count, scratch, Sum());
}

// The key with `rank` keys or more below or beside it: its bits from the top, by counting.
__device__ uint32 key_of_rank(const uint32* keys, uint64 size, int rank, int* scratch) {
  uint32 found = 0;
  for (int bit = 31; bit >= 0; bit--) {
    const uint32 limit = found | 1u << bit;
    if (count_of(keys, size, limit, scratch) <= rank) found = limit;
  }
  return found;
}

// The value below which `tenths` of the keys under the limit lie; between the steps of integers.
__device__ float quantile(const uint32* keys, uint64 size, uint32 limit, int tenths, float step,
                          int* scratch) {
  const int count = count_of(keys, size, limit, scratch);
  if (count == 0) return 0.0f;
  const uint32 key = key_of_rank(keys, size, (count - 1) * tenths / 10, scratch);
  const int below = count_of(keys, size, key, scratch);
  const int equal = count_of(keys, size, key + 1, scratch) - below;
  const float value = key_to_float(key);
  float place = ((float)(count * tenths) / 10.0f - (float)below) / (float)equal;
  place = fminf(place, 1.0f);
  return value > 0.0f ? value + step * (place - 0.5f) : 0.5f * step * place;
}

#ifdef FACTORS

// Linear between FACTORS, the correction for a Rician magnitude.
__device__ float koay_factor(float ratio) {
  const float factors[17] = {FACTORS};
  const float place = 8.0f * sqrtf(fmaxf(ratio - RAYLEIGH, 0.0f));
  const int k = min((int)fminf(place, 16.0f), 15);
  const float part = fminf(place - (float)k, 1.0f);
  float here = factors[0], next = factors[1];
#pragma unroll
  for (int j = 1; j < 16; j++)
    if (k == j) here = factors[j], next = factors[j + 1];
  return place < 16.0f ? here + (next - here) * part : 1.0f;
}

// Sigma of the fine differences; where their tails are edges, of those below CUT sigma alone.
__device__ float inner(const uint32* keys, uint64 size, float sigma, float step, int* scratch) {
  const float tails = quantile(keys, size, MISSING, 9, step, scratch) / (2.0f * TENTH);
  if (tails <= EDGES * sigma) return sigma;
  for (int round = 0; round < ROUNDS; round++) {
    const uint32 limit = key_of(CUT * (2.0f * sigma));
    sigma = quantile(keys, size, limit, 5, step, scratch) / (2.0f * INNER);
  }
  return sigma;
}

// How much of the coarse level is noise: less where the wide differences have heavy tails.
__device__ float share(const uint32* keys, uint64 size, float step, int* scratch) {
  const float middle = quantile(keys, size, MISSING, 5, step, scratch) * TENTH;
  const float tails = quantile(keys, size, MISSING, 9, step, scratch) * HALF;
  const float part = tails > 0.0f ? fminf(SPREAD * middle / tails, 1.0f) : 1.0f;
  return part * part;
}

extern "C" __global__ void __launch_bounds__(THREADS)
    sigmas(const uint32* __restrict__ keys, float* __restrict__ sigma, int n, int size, float step,
           float below, float none) {
  __shared__ int scratch[THREADS / WARP];
  for (int i = blockIdx.x; i < n; i += gridDim.x) {
    const uint32* line = keys + (uint64)i * KEYS * size;
    const uint32 *coarser = line + (uint64)COARSE * size, *mean = line + (uint64)MEAN * size;
    const uint64 fines = (uint64)COARSE * size;
    const float fine = quantile(line, fines, MISSING, 5, step, scratch) / (2.0f * HALF);
    const float coarse = quantile(coarser, size, MISSING, 5, step, scratch) / (4.0f * HALF);
    const float tails = quantile(coarser, size, MISSING, 9, step, scratch) / (4.0f * TENTH);
    const int blocks = count_of(coarser, size, MISSING, scratch);
    float found;
    if (blocks >= FEW && coarse > COLOURED * fine && tails < TAILS * coarse)
      found = TAKEN * coarse * share(line + (uint64)WIDE * size, size, step, scratch);
    else
      found = inner(line, fines, fine, step, scratch);
    const float middle = quantile(mean, size, MISSING, 5, 0.0f, scratch);
    if (CENTRED * found <= middle && middle < below * found) found *= koay_factor(middle / found);
    if (threadIdx.x == 0) sigma[i] = blocks > 0 ? found : none;
  }
}

#else

// ---- gain and read noise: variance against mean, over groups of blocks of rising mean

// The least value that half of the weight does not exceed.
__device__ float weighted_median(const float* values, const float* weights, int count) {
  float best = __int_as_float(0x7f800000);
  for (int a = 0; a < count; a++) {
    float least = 0.0f, all = 0.0f;
    for (int b = 0; b < count; b++) {
      all += weights[b];
      if (values[b] <= values[a]) least += weights[b];
    }
    if (least >= 0.5f * all && values[a] < best) best = values[a];
  }
  return best;
}

struct Group {
  float blocks, sum, energy;
};

// The line through the groups: weighted median of the slopes of all pairs, then of the rest.
__device__ void fit(const float* means, const float* variances, int groups, float* slopes,
                    float* weights, float* found) {
  int pairs = 0;
  for (int a = 0; a < groups; a++)
    for (int b = a + 1; b < groups; b++) {
      weights[pairs] = means[b] - means[a];
      slopes[pairs] = (variances[b] - variances[a]) / weights[pairs];
      pairs++;
    }
  const float gain = fmaxf(weighted_median(slopes, weights, pairs), 0.0f);
  for (int a = 0; a < groups; a++) {
    slopes[a] = variances[a] - gain * means[a];
    weights[a] = 1.0f;
  }
  found[0] = gain;
  found[1] = sqrtf(fmaxf(weighted_median(slopes, weights, groups), 0.0f));
}

extern "C" __global__ void __launch_bounds__(THREADS)
    gains(const uint32* __restrict__ keys, float* __restrict__ found, int n, int size) {
  __shared__ int scratch[THREADS / WARP];
  __shared__ float sums[THREADS / WARP];
  __shared__ float means[BINS], variances[BINS], slopes[BINS * BINS], weights[BINS * BINS];
  for (int i = blockIdx.x; i < n; i += gridDim.x) {
    const uint32* line = keys + (uint64)i * KEYS * size;
    const uint32* middle = line + (uint64)MEAN * size;
    const int count = count_of(middle, size, MISSING, scratch);
    int groups = 0;
    uint32 low = 0;
    for (int b = 0; b < BINS; b++) {
      const uint32 high = b == BINS - 1 ? (uint32)MISSING
                                        : key_of_rank(middle, size, count * (b + 1) / BINS, scratch);
      Group group = {0.0f, 0.0f, 0.0f};
      for (int k = threadIdx.x; k < size; k += THREADS)
        if (low <= middle[k] && middle[k] < high) {
          float energy = 0.0f;
          for (int quarter = 0; quarter < 4; quarter++) {
            const float difference = key_to_float(line[(uint64)quarter * size + k]);
            energy += difference * difference;
          }
          group.blocks += 1.0f;
          group.sum += key_to_float(middle[k]);
          group.energy += energy;
        }
      const float blocks = block_reduce(group.blocks, sums, Sum());
      const float sum = block_reduce(group.sum, sums, Sum());
      const float energy = block_reduce(group.energy, sums, Sum());
      low = high;
      if (blocks > 0.0f) {
        if (threadIdx.x == 0) {
          means[groups] = sum / blocks;
          variances[groups] = energy / (16.0f * blocks);
        }
        groups++;
      }
    }
    if (threadIdx.x == 0) {
      const float nan = __int_as_float(0x7fc00000);
      found[2 * i] = found[2 * i + 1] = nan;
      if (groups > 1) fit(means, variances, groups, slopes, weights, found + 2 * (uint64)i);
    }
    __syncthreads();
  }
}

#endif
#endif

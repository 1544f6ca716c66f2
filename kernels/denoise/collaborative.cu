// Collaborative filter. A block of WARPS warps takes REFERENCES reference patches of a row; the part
// of the guide that they search lies in shared memory. A warp finds the patches most like one of
// them, transforms the group in its own shared memory, shrinks it, transforms it back and adds
// whole numbers of steps of noise to the sums of the image: integers, so any order gives the same.
// SECOND is 0 for the threshold, 1 for the Wiener filter whose guide is the result of stage 1.
//
// collaborate     adds up the noise of all groups
// without_noise   the images less their mean noise, and empty sums for the next stage
#include "_cuda.cuh"

enum : int {
  PATCH = 8,
  REFERENCES = 8,
  REACH = SEARCH / SPACING,
  SIDE = 2 * REACH + 1,
  CANDIDATES = SIDE * SIDE,
  MARGIN = REACH * SPACING,
  TILE_ROWS = 2 * MARGIN + PATCH,
  TILE_COLUMNS = 2 * MARGIN + PATCH + (REFERENCES - 1) * STEP,
  // rows and columns of the tile that lie SPACING apart; candidates in reading order are to be in
  // banks that follow each other: a row is SIDE longer than a multiple of the banks
  STRIP_ROWS = (TILE_ROWS + SPACING - 1) / SPACING,
  STRIP_COLUMNS = (TILE_COLUMNS + SPACING - 1) / SPACING,
  PITCH = STRIP_COLUMNS * SPACING + (SIDE + 64 * 32 - STRIP_COLUMNS * SPACING) % 32,
  VALUES = GROUP * PATCH * PATCH,
};
#define FRACTION 65536.0f  // steps of a unit weight, and of a sigma, in the sums
#define NONE 0xffffffffu

// ---- cosine transforms of eight numbers, orthonormal; the order of kernels/denoise

#define C1 0.490392625f
#define C2 0.461939752f
#define C3 0.415734798f
#define C4 0.353553385f
#define C5 0.277785122f
#define C6 0.191341713f
#define C7 0.0975451618f

__device__ __forceinline__ void dct8(float (&v)[PATCH]) {
  float a = v[0] + v[7], h = v[0] - v[7], b = v[1] + v[6], g = v[1] - v[6];
  float c = v[2] + v[5], f = v[2] - v[5], d = v[3] + v[4], e = v[3] - v[4];
  const float p = a + d, q = b + c;
  d = a - d;
  c = b - c;
  v[0] = (p + q) * C4;
  v[1] = ((h * C1 + g * C3) + f * C5) + e * C7;
  v[2] = d * C2 + c * C6;
  v[3] = ((h * C3 - g * C7) - f * C1) - e * C5;
  v[4] = (p - q) * C4;
  v[5] = ((h * C5 - g * C1) + f * C7) + e * C3;
  v[6] = d * C6 - c * C2;
  v[7] = ((h * C7 - g * C5) + f * C3) - e * C1;
}

__device__ __forceinline__ void inverse_dct8(float (&v)[PATCH]) {
  const float p = (v[0] + v[4]) * C4, q = (v[0] - v[4]) * C4;
  const float r = v[2] * C2 + v[6] * C6, s = v[2] * C6 - v[6] * C2;
  const float even[4] = {p + r, q + s, q - s, p - r};
  const float odd[4] = {
      ((v[1] * C1 + v[3] * C3) + v[5] * C5) + v[7] * C7,
      ((v[1] * C3 - v[3] * C7) - v[5] * C1) - v[7] * C5,
      ((v[1] * C5 - v[3] * C1) + v[5] * C7) + v[7] * C3,
      ((v[1] * C7 - v[3] * C5) + v[5] * C3) - v[7] * C1,
  };
#pragma unroll
  for (int i = 0; i < 4; i++) {
    v[i] = even[i] + odd[i];
    v[7 - i] = even[i] - odd[i];
  }
}

// ---- the shared memory of a block

// Rows and columns that lie SPACING apart are neighbours: lanes compare patches so far apart.
__device__ __forceinline__ int place(int y, int x) {
  return (y % SPACING * STRIP_ROWS + y / SPACING) * PITCH + x % SPACING * STRIP_COLUMNS +
         x / SPACING;
}

struct Member {
  int y, x;
};

struct Memory {
  float tile[STRIP_ROWS * SPACING * PITCH];  // the guide, first to last pixel that is compared
  union {
    uint32 distances[CANDIDATES];  // their bits are of the same order
    float values[1 + SECOND][VALUES];
  } of[WARPS];
  Member members[WARPS][GROUP];
};

// Where pixel (j, i) of member m lies: rows, columns and pixels of members that follow each other
// are in different banks.
__device__ __forceinline__ int slot(int m, int j, int i) {
  const int turn = m & 3;
  return (m * PATCH + (j ^ turn)) * PATCH + (i ^ (j >> 2 | turn << 1));
}

// The size of the images, and that of a patch where they are smaller.
struct Plane {
  int h, w, rows, columns;
  __device__ Plane(int h, int w) : h(h), w(w), rows(max(h, PATCH)), columns(max(w, PATCH)) {}
  __device__ uint64 at(int y, int x) const {
    return (uint64)clamp_index(y, h) * w + clamp_index(x, w);
  }
};

// ---- the similar patches

// Squares added down the columns, then these sums in pairs.
__device__ __forceinline__ float distance(const Memory& memory, int y, int x, int there_y,
                                          int there_x) {
  float sums[PATCH] = {};
  for (int j = 0; j < PATCH; j++)
#pragma unroll
    for (int i = 0; i < PATCH; i++) {
      const float apart =
          memory.tile[place(y + j, x + i)] - memory.tile[place(there_y + j, there_x + i)];
      sums[i] += apart * apart;
    }
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

// The members of the group of the patch at `first`, at column x of the tile; returns how many:
// a power of two, or 0 for a patch with a pixel that is NaN or infinite.
__device__ int similar(Memory& memory, const Plane& plane, Member first, int x) {
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  uint32* distances = memory.of[warp].distances;
  Member* members = memory.members[warp];
  for (int o = lane; o < CANDIDATES; o += WARP) {
    const int dy = (o / SIDE - REACH) * SPACING, dx = (o % SIDE - REACH) * SPACING;
    const int row = first.y + dy, column = first.x + dx;
    distances[o] = NONE;
    if (0 <= row && row <= plane.rows - PATCH && 0 <= column && column <= plane.columns - PATCH) {
      const float apart = distance(memory, MARGIN, x, MARGIN + dy, x + dx);
      if (apart < __int_as_float(0x7f800000)) distances[o] = __float_as_uint(apart);
    }
  }
  __syncwarp();
  const bool finite = distances[CANDIDATES / 2] == 0;
  __syncwarp();
  if (!finite) return 0;
  uint64 best = CANDIDATES / 2;  // distance and candidate: the patch itself comes first
  int count = 0;
  while (true) {
    const int o = (int)(best & NONE);
    if (lane == o % WARP) {
      distances[o] = NONE;
      members[count] = {first.y + (o / SIDE - REACH) * SPACING,
                        first.x + (o % SIDE - REACH) * SPACING};
    }
    if (++count == GROUP) break;
    best = ~0ull;
    for (int k = lane; k < CANDIDATES; k += WARP)
      best = min(best, (uint64)distances[k] << 32 | (uint64)k);
    best = warp_reduce(best, Min());
    if (best >> 32 == NONE) break;
  }
  __syncwarp();
  return 1 << (31 - __clz(count));
}

// ---- a group

// Sums and differences of members (Walsh-Hadamard, not normalised).
__device__ __forceinline__ void across_members(float (&v)[GROUP], int many) {
#pragma unroll
  for (int step = 1; step < GROUP; step *= 2)
    if (step < many)
#pragma unroll
      for (int m = 0; m < GROUP; m++)
        if (!(m & step)) {
          const float a = v[m], b = v[m + step];
          v[m] = a + b;
          v[m + step] = a - b;
        }
}

// Calls work(v, m, j) with every row j of every member, or column, and puts v back.
template <bool ROWS, typename Work>
__device__ __forceinline__ void for_lines(float* values, int many, Work work) {
  const int lane = threadIdx.x % WARP, line = lane % PATCH;
  for (int m = lane / PATCH; m < many; m += WARP / PATCH) {
    float v[PATCH];
#pragma unroll
    for (int k = 0; k < PATCH; k++) v[k] = values[ROWS ? slot(m, line, k) : slot(m, k, line)];
    work(v, m, line);
#pragma unroll
    for (int k = 0; k < PATCH; k++) values[ROWS ? slot(m, line, k) : slot(m, k, line)] = v[k];
  }
  __syncwarp();
}

// The patches of the members, pixel(y, x), transformed across them and down their columns.
template <typename Pixel>
__device__ __forceinline__ void gather(float* values, const Member* members, int many,
                                       Pixel pixel) {
  for (int p = threadIdx.x % WARP; p < PATCH * PATCH; p += WARP) {
    float v[GROUP];
#pragma unroll
    for (int m = 0; m < GROUP; m++)
      v[m] = m < many ? pixel(members[m].y + p / PATCH, members[m].x + p % PATCH) : 0.0f;
    across_members(v, many);
#pragma unroll
    for (int m = 0; m < GROUP; m++)
      if (m < many) values[slot(m, p / PATCH, p % PATCH)] = v[m];
  }
  __syncwarp();
  for_lines<false>(values, many, [](float (&v)[PATCH], int, int) { dct8(v); });
}

// Leaves the noise of the coefficients, of which the mean of the group has none; the sum of the
// squared gains, in steps.
__device__ __forceinline__ int shrink(float (*values)[VALUES], int many, float variance,
                                      float threshold) {
  int kept = 0;
#if SECOND
  const float* pilot = values[1];
  for_lines<true>(values[1], many, [](float (&v)[PATCH], int, int) { dct8(v); });
#endif
  for_lines<true>(values[0], many, [&](float (&v)[PATCH], int m, int j) {
    dct8(v);
#pragma unroll
    for (int i = 0; i < PATCH; i++) {
#if SECOND
      const float clean = pilot[slot(m, j, i)];
      const float gain =
          m + j + i == 0 ? 1.0f : 1.0f - variance / (clean * clean + variance);
      kept += (int)(gain * gain * FRACTION);
      v[i] *= 1.0f - gain;
#else
      const bool large = v[i] * v[i] > variance * (threshold * threshold) || m + j + i == 0;
      kept += large ? (int)FRACTION : 0;
      if (large) v[i] = 0.0f;
#endif
    }
    inverse_dct8(v);
  });
  return max(warp_reduce(kept, Sum()), (int)FRACTION);
}

// Adds weight * steps of noise to the sums of the image.
__device__ __forceinline__ void add(float* values, const Plane& plane, const Member* members,
                                    int many, float scale, int weight, uint64* noise,
                                    int* weights) {
  for_lines<false>(values, many, [](float (&v)[PATCH], int, int) { inverse_dct8(v); });
  for (int p = threadIdx.x % WARP; p < PATCH * PATCH; p += WARP) {
    float v[GROUP];
#pragma unroll
    for (int m = 0; m < GROUP; m++) v[m] = m < many ? values[slot(m, p / PATCH, p % PATCH)] : 0.0f;
    across_members(v, many);
#pragma unroll
    for (int m = 0; m < GROUP; m++)
      if (m < many) {
        const int y = members[m].y + p / PATCH, x = members[m].x + p % PATCH;
        const float scaled = v[m] * scale;
        const int steps = fabsf(scaled) < 1073741824.0f ? (int)scaled : 0;
        if (y < plane.h && x < plane.w) {
          atomicAdd(noise + plane.at(y, x), (uint64)((long long)steps * weight));
          atomicAdd(weights + plane.at(y, x), weight);
        }
      }
  }
  __syncwarp();
}

extern "C" __global__ void __launch_bounds__(WARPS* WARP, 16 / WARPS)
    collaborate(const PIXEL* __restrict__ images, const GUIDE* __restrict__ guides,
                const float* __restrict__ sigma, long long* __restrict__ noise,
                int* __restrict__ weights, int n, int h, int w, float strength, float threshold) {
  __shared__ Memory memory;
  const Plane plane(h, w);
  const int warp = threadIdx.x / WARP;
  const int down = ceil_div(plane.rows - PATCH, (int)STEP) + 1;
  const int across = ceil_div(plane.columns - PATCH, (int)STEP) + 1;
  const int first = blockIdx.x * REFERENCES;
  const int left = min(first * STEP, plane.columns - PATCH) - MARGIN;
  for (int image = blockIdx.z; image < n; image += gridDim.z) {
    const float level = sigma[image] * strength, variance = level * level;
    if (!(0.0f < variance && variance < __int_as_float(0x7f800000))) continue;
    const uint64 start = (uint64)image * h * w;
    for (int row = blockIdx.y; row < down; row += gridDim.y) {
      const int y = min(row * STEP, plane.rows - PATCH);
      __syncthreads();
      for (int k = threadIdx.x; k < TILE_ROWS * TILE_COLUMNS; k += WARPS * WARP)
        memory.tile[place(k / TILE_COLUMNS, k % TILE_COLUMNS)] =
            (float)guides[start + plane.at(y - MARGIN + k / TILE_COLUMNS, left + k % TILE_COLUMNS)];
      __syncthreads();
      for (int k = first + warp; k < min(first + REFERENCES, across); k += WARPS) {
        const int x = min(k * STEP, plane.columns - PATCH);
        const int many = similar(memory, plane, {y, x}, x - left);
        if (many == 0) continue;
        const Member* members = memory.members[warp];
        auto values = memory.of[warp].values;
        gather(values[SECOND], members, many, [&](int row, int column) {
          return memory.tile[place(row - y + MARGIN, column - left)];
        });
#if SECOND
        gather(values[0], members, many, [&](int row, int column) {
          return (float)images[start + plane.at(row, column)];
        });
#endif
        const int kept = shrink(values, many, variance * (float)many, threshold);
        const float scale = fminf(FRACTION / (level * (float)many), 3.0e38f);
        const int weight = (int)(FRACTION * FRACTION / (float)kept);
        add(values[0], plane, members, many, scale, weight, (uint64*)noise + start,
            weights + start);
      }
    }
  }
}

extern "C" __global__ void __launch_bounds__(256)
    without_noise(const PIXEL* __restrict__ images, const float* __restrict__ sigma,
                  long long* __restrict__ noise, int* __restrict__ weights,
                  RESULT* __restrict__ out, int n, int pixels, float strength) {
  for (int image = blockIdx.y; image < n; image += gridDim.y)
    for (int p = blockIdx.x * 256 + threadIdx.x; p < pixels; p += gridDim.x * 256) {
      const uint64 at = (uint64)image * pixels + p;
      const int weight = weights[at];
      float value = (float)images[at];
      if (weight != 0)
        value = value - (float)noise[at] / (float)weight * (sigma[image] * strength / FRACTION);
      set_pixel(out[at], value);
      noise[at] = 0;
      weights[at] = 0;
    }
}

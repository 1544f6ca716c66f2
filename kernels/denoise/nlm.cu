// Non-local means. A block of threads computes a tile of a plane, offset after offset; the pixels
// around the tile lie in shared memory. For every offset
//
//   1. a thread per SEGMENT columns of a row sums squared differences along z and x,
//   2. a thread per column and OWN rows sums these along y, and weighs and adds OWN pixels.
//
// Lanes are rows in step 1 and columns in step 2: with rows of odd length in shared memory neither
// meets bank conflicts. What a thread compares with in step 1 stays in its registers throughout.
//
// Sums over a patch are taken in the order of _nlm_tile.py, and so are offsets: of each GROUP first
// what comes from p - o, then what comes from p + o.
#include "_cuda.cuh"

enum : int {
  SIDE = 2 * PATCH + 1,
  PLANES = 2 * DEPTH + 1,             // of a patch
  TILE_ROWS = ROWS - 2 * PATCH,       // step 1 works on ROWS rows
  THREADS = ROWS * COLUMNS / SEGMENT,
  GROUPS = THREADS / COLUMNS,         // threads that share a column
  OWN = (TILE_ROWS + GROUPS - 1) / GROUPS,
  SUM_STEP = COLUMNS | 1,
  SUM_ROWS = OWN * GROUPS + 2 * PATCH,
  GROUP = 3,
  BORDER = SEARCH + PATCH,            // around a tile
  SLAB_ROWS = ROWS + 2 * SEARCH,
  SLAB_STEP = (COLUMNS + 2 * BORDER) | 1,
  SLAB = PLANES * SLAB_ROWS * SLAB_STEP,
};

// ---- sums of a side, in a fixed order

template <int COUNT> __device__ __forceinline__ float power_sum(const float* v) {
  return power_sum<COUNT / 2>(v) + power_sum<COUNT / 2>(v + COUNT / 2);
}
template <> __device__ __forceinline__ float power_sum<1>(const float* v) { return v[0]; }

__device__ __forceinline__ float side_sum(const float* v) {
  enum : int {
    LARGE = SIDE >= 8 ? 8 : SIDE >= 4 ? 4 : 2,
    REST = SIDE - LARGE,  // 1 or 3
  };
  float sum = power_sum<LARGE>(v);
  if (REST == 3) sum = sum + power_sum<2>(v + LARGE);
  return sum + v[SIDE - 1];
}

// 2^((enough - distance) * scale), at most 1
__device__ __forceinline__ float weigh(float distance, float enough, float scale) {
  const float ROUND = 12582912.0f;
  float x = (enough - distance) * scale;
  x = x > -127.0f ? x : -127.0f;  // also for NaN
  x = x < 0.0f ? x : 0.0f;
  const float shifted = x + ROUND;
  const float r = x - (shifted - ROUND);
  float p = 9.585382389e-3f;
  p = __fmaf_rn(p, r, 5.590662826e-2f);
  p = __fmaf_rn(p, r, 2.402403817e-1f);
  p = __fmaf_rn(p, r, 6.931241843e-1f);
  p = __fmaf_rn(p, r, 1.0f);
  return p * __int_as_float((__float_as_int(shifted) + (127 - 0x4B400000)) << 23);
}

__device__ __forceinline__ bool known(float pixel) { return fabsf(pixel) < 1e18f; }

// What is averaged.
__device__ __forceinline__ float value_of(float pixel) {
  const float v = known(pixel) ? pixel : 0.0f;
  return RICIAN ? v * v : v;
}

// ---- a tile

struct Volume {
  const PIXEL* pixels;
  int d, h, w;
};

// The pixels of the planes around a tile.
struct Slab {
  float* pixels;

  // Planes z - DEPTH .. z + DEPTH of the volume, by all threads.
  __device__ void load(const Volume& volume, int z, int y, int x) const {
    for (int line = threadIdx.x / WARP; line < PLANES * SLAB_ROWS; line += THREADS / WARP) {
      const int plane = clamp_index(z - DEPTH + line / SLAB_ROWS, volume.d);
      const int row = clamp_index(y - BORDER + line % SLAB_ROWS, volume.h);
      const PIXEL* from = volume.pixels + ((uint64)plane * volume.h + row) * volume.w;
      for (int i = threadIdx.x % WARP; i < COLUMNS + 2 * BORDER; i += WARP)
        pixels[line * SLAB_STEP + i] = (float)from[clamp_index(x - BORDER + i, volume.w)];
    }
  }

  // Counted from the first pixel of the tile with its patches.
  __device__ const float* at(int plane, int y, int x) const {
    return pixels + (plane * SLAB_ROWS + y + SEARCH) * SLAB_STEP + x + SEARCH;
  }
};

struct Tile {
  float mine[PLANES][SEGMENT + 2 * PATCH];  // pixels of step 1
  float sums[OWN], totals[OWN];
  int y, x;          // of the first pixel in the image
  int row, column;   // of this thread's pixels in step 2
  float enough, scale;

  __device__ static int line() { return threadIdx.x % ROWS; }
  __device__ static int segment() { return threadIdx.x / ROWS * SEGMENT; }

  __device__ void begin(const Slab& slab) {
#pragma unroll
    for (int k = 0; k < PLANES; k++)
#pragma unroll
      for (int i = 0; i < SEGMENT + 2 * PATCH; i++)
        mine[k][i] = slab.at(k, line(), segment())[i];
#pragma unroll
    for (int j = 0; j < OWN; j++) {
      const int inside = min(row + j, TILE_ROWS - 1);
      sums[j] = value_of(*slab.at(DEPTH, inside + PATCH, column + PATCH));
      totals[j] = 1.0f;
    }
  }

  // Step 1.
  __device__ void sum_squares(const Slab& slab, int oy, int ox, float* along) const {
    float squares[SEGMENT + 2 * PATCH];
#pragma unroll
    for (int k = 0; k < PLANES; k++) {
      const float* other = slab.at(k, line() + oy, segment() + ox);
#pragma unroll
      for (int i = 0; i < SEGMENT + 2 * PATCH; i++) {
        const float d = mine[k][i] - other[i];
        squares[i] = k ? squares[i] + d * d : d * d;
      }
    }
#pragma unroll
    for (int i = 0; i < SEGMENT; i++)
      along[line() * SUM_STEP + segment() + i] = side_sum(squares + i);
  }

  // Step 2.
  __device__ void add(const Slab& slab, int oy, int ox, const float* along, int h, int w) {
    float lines[OWN + 2 * PATCH];
#pragma unroll
    for (int j = 0; j < OWN + 2 * PATCH; j++)
      lines[j] = along[(row + j) * SUM_STEP + column];
    const int above = y + row + oy;  // where p + o of the first pixel is
    const bool across = (unsigned)(x + column + ox) < (unsigned)w;
    const int first = -above, stop = across ? min(TILE_ROWS - row, h - above) : 0;
    const float* other = slab.at(DEPTH, row + PATCH + oy, column + PATCH + ox);
#pragma unroll
    for (int j = 0; j < OWN; j++) {
      if (j >= first && j < stop) {
        const float weight = weigh(side_sum(lines + j), enough, scale);
        sums[j] = __fmaf_rn(weight, value_of(other[j * SLAB_STEP]), sums[j]);
        totals[j] += weight;
      }
    }
  }
};

extern "C" __global__ void __launch_bounds__(THREADS, 512 / THREADS)
    nlm(const PIXEL* __restrict__ images, PIXEL* __restrict__ out, const float* __restrict__ sigmas,
        float strength, int n, int d, int h, int w) {
  extern __shared__ float shared[];
  const Slab after = {shared}, before = {shared + (DEPTH ? SLAB : 0)};
  float* along = before.pixels + SLAB;
  for (int i = threadIdx.x; i < SUM_ROWS * SUM_STEP; i += THREADS) along[i] = 0.0f;

  Tile tile;
  tile.x = blockIdx.x * COLUMNS;
  tile.column = threadIdx.x % COLUMNS;
  tile.row = threadIdx.x / COLUMNS * OWN;
  const float voxels = (float)(PLANES * SIDE * SIDE);
  for (int plane = blockIdx.z; plane < n * d; plane += gridDim.z) {
    const int image = plane / d, z = plane % d;
    const Volume volume = {images + (uint64)image * d * h * w, d, h, w};
    const float sigma = sigmas[image], hsigma = strength * sigma;
    const float noise = 2.0f * (sigma * sigma);
    tile.enough = noise * voxels;
    tile.scale = fminf(1.44269504f / (hsigma * hsigma * voxels), 3e38f);
    for (tile.y = blockIdx.y * TILE_ROWS; tile.y < h; tile.y += gridDim.y * TILE_ROWS) {
      for (int oz = 0; oz <= (DEPTH ? SEARCH : 0) && sigma > 0.0f; oz++) {
        __syncthreads();
        after.load(volume, z + oz, tile.y, tile.x);
        if (oz) before.load(volume, z - oz, tile.y, tile.x);
        __syncthreads();
        if (oz == 0) tile.begin(after);
        for (int oy = oz ? -SEARCH : 0; oy <= SEARCH; oy++)
          for (int begin = oz || oy ? -SEARCH : 1; begin <= SEARCH; begin += GROUP)
#pragma unroll 1
            for (int k = 0; k < 2 * GROUP; k++) {
              const int sign = k < GROUP ? -1 : 1, ox = begin + k % GROUP;
              if (ox > SEARCH || (unsigned)(z + sign * oz) >= (unsigned)d) continue;
              Slab slab = after;
              if (oz && sign < 0) slab.pixels = before.pixels;
              tile.sum_squares(slab, sign * oy, sign * ox, along);
              __syncthreads();
              tile.add(slab, sign * oy, sign * ox, along, h, w);
              __syncthreads();
            }
      }
      for (int j = 0; j < OWN; j++) {
        const int y = tile.y + tile.row + j, x = tile.x + tile.column;
        if (tile.row + j >= TILE_ROWS || y >= h || x >= w) continue;
        const uint64 at = ((uint64)plane * h + y) * w + x;
        const float given = (float)images[at];
        float mean = tile.sums[j] / tile.totals[j];
        if (RICIAN) mean = sqrtf(fmaxf(mean - noise, 0.0f));
        set_pixel(out[at], known(given) && sigma > 0.0f ? mean : given);
      }
    }
  }
}

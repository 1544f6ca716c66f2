// Gaussians. A narrow one is summed as it stands, in a tile of one image or slice along y and x:
//
// gaussian_tile     RADIUS: along y in registers, from global memory; along x from shared memory
// gaussian_depth    RADIUS: along the third axis of volumes
//
// A wide one is three narrow ones (see _gaussian_plan.py), FACTOR = 2, 4 or 8:
//
// gaussian_shrink   blurs and keeps every FACTOR-th row or slice
// gaussian_sift     the same along x; notes the images that hold a NaN or an infinity
// gaussian_deepen   puts slices back and blurs
// gaussian_grow     puts rows and columns back and blurs
//
// All weights are numbers that the compiler sees or arguments: an operand in the constant bank costs
// nothing. Every sum is made in the order of the CPU code: the centre, then pair after pair.
// With SUBTRACT the last step takes the result from what is in `out`.
#include "_cuda.cuh"

enum : int {
  TILE_W = 128,
  TILE_H = 32,
  SECTOR = 32,
};

__device__ __forceinline__ void put(RESULT& pixel, float value) {
#ifdef SUBTRACT
  pixel = pixel - value;
#else
  set_pixel(pixel, value);
#endif
}

// sums[j] = the symmetric sum around v[j + radius]
template <int count, int radius>
__device__ __forceinline__ void sum_run(const float (&v)[count + 2 * radius],
                                        const float (&w)[radius + 1], float (&sums)[count]) {
#pragma unroll
  for (int j = 0; j < count; j++) {
    float sum = w[0] * v[j + radius];
#pragma unroll
    for (int k = 1; k <= radius; k++) sum += w[k] * (v[j + radius - k] + v[j + radius + k]);
    sums[j] = sum;
  }
}

#ifdef RADIUS

enum : int {
  RUN = RADIUS <= 4 ? 16 : 8,  // pixels in a column that a thread sums: what registers hold
  PAD = ceil_div(RADIUS * (int)sizeof(PIXEL), (int)SECTOR) * SECTOR / (int)sizeof(PIXEL),
  SLOTS = TILE_W + 2 * PAD,  // columns of a tile with borders in whole sectors
  THREADS = SLOTS * TILE_H / RUN,
  RESIDENT = THREADS < 512 ? 1024 / THREADS : 1,  // blocks a multiprocessor: 64 or 80 registers
  WARPS = THREADS / WARP,
  EACH = TILE_W / WARP,
  QUADS = ceil_div(RADIUS, 4),  // of pixels, to each side of the four that a thread sums along x
};

#define WEIGHTS \
  {w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, \
   w13, w14, w15, w16, w17, w18, w19, w20, w21, w22, w23, w24}

__device__ __forceinline__ void sum_columns(const PIXEL* image, int y, int x, int h, int w,
                                            const float (&weights)[RADIUS + 1],
                                            float (*middle)[SLOTS]) {
  const int column = threadIdx.x % SLOTS, first = threadIdx.x / SLOTS * RUN;
  if (column < PAD - 4 * QUADS || x - PAD + column >= w + 4 * QUADS + 3) return;  // never read
  const PIXEL* top = image + clamp_index(x - PAD + column, w);
  float v[RUN + 2 * RADIUS], sums[RUN];
#pragma unroll
  for (int j = 0; j < RUN + 2 * RADIUS; j++)
    v[j] = (float)top[(uint64)clamp_index(y + first - RADIUS + j, h) * w];
  sum_run<RUN, RADIUS>(v, weights, sums);
#pragma unroll
  for (int j = 0; j < RUN; j++) middle[first + j][column] = sums[j];
}

// All four as one load, also where the compiler sees that not all are needed: single loads would
// meet in banks.
__device__ __forceinline__ float4 load_four(const float* place) {
  float4 four;
  asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(four.x), "=f"(four.y), "=f"(four.z), "=f"(four.w)
               : "l"(__cvta_generic_to_shared(place))
               : "memory");
  return four;
}

// A warp sums `count` pixels of a row, a lane four of them; they are put back into the row, so that
// the lanes can write them in order.
__device__ __forceinline__ void sum_row(float* row, int count,
                                        const float (&weights)[RADIUS + 1]) {
  const int lane = threadIdx.x % WARP;
  float v[EACH + 2 * RADIUS], sums[EACH];
  if (EACH * lane < count) {
#pragma unroll
    for (int q = -QUADS; q <= QUADS; q++) {
      const float4 four = load_four(row + PAD + 4 * (lane + q));
      const float one[] = {four.x, four.y, four.z, four.w};
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int at = 4 * q + i + RADIUS;
        if (0 <= at && at < EACH + 2 * RADIUS) v[at] = one[i];
      }
    }
    sum_run<EACH, RADIUS>(v, weights, sums);
  }
  __syncwarp();
  if (EACH * lane < count)
    reinterpret_cast<float4*>(row)[lane] = make_float4(sums[0], sums[1], sums[2], sums[3]);
  __syncwarp();
}

extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
    gaussian_tile(const PIXEL* __restrict__ images, RESULT* __restrict__ out, int n, int h, int w,
                  float w0, float w1, float w2, float w3, float w4, float w5, float w6, float w7,
                  float w8, float w9, float w10, float w11, float w12, float w13, float w14,
                  float w15, float w16, float w17, float w18, float w19, float w20, float w21,
                  float w22, float w23, float w24) {
  __shared__ __align__(16) float middle[TILE_H][SLOTS];
  const float all[] = WEIGHTS;
  float weights[RADIUS + 1];
#pragma unroll
  for (int k = 0; k <= RADIUS; k++) weights[k] = all[k];
  const int x = blockIdx.x * TILE_W, lane = threadIdx.x % WARP;
  for (int image = blockIdx.z; image < n; image += gridDim.z)
    for (int y = blockIdx.y * TILE_H; y < h; y += gridDim.y * TILE_H) {
      const uint64 first = (uint64)image * h * w;
      sum_columns(images + first, y, x, h, w, weights, middle);
      __syncthreads();
      for (int j = threadIdx.x / WARP; j < min((int)TILE_H, h - y); j += WARPS) {
        sum_row(middle[j], w - x, weights);
        RESULT* row = out + first + (uint64)(y + j) * w + x;
#pragma unroll
        for (int i = lane; i < TILE_W; i += WARP)
          if (x + i < w) put(row[i], middle[j][i]);
      }
      __syncthreads();
    }
}

extern "C" __global__ void __launch_bounds__(256, 3)
    gaussian_depth(const float* __restrict__ volumes, RESULT* __restrict__ out, int n, int d,
                   int pixels, float w0, float w1, float w2, float w3, float w4, float w5, float w6,
                   float w7, float w8, float w9, float w10, float w11, float w12, float w13,
                   float w14, float w15, float w16, float w17, float w18, float w19, float w20,
                   float w21, float w22, float w23, float w24) {
  const float all[] = WEIGHTS;
  float weights[RADIUS + 1];
#pragma unroll
  for (int k = 0; k <= RADIUS; k++) weights[k] = all[k];
  const int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= pixels) return;
  for (int volume = blockIdx.z; volume < n; volume += gridDim.z)
    for (int z = blockIdx.y * RUN; z < d; z += gridDim.y * RUN) {
      const uint64 first = (uint64)volume * d * pixels + at;
      float v[RUN + 2 * RADIUS], sums[RUN];
#pragma unroll
      for (int j = 0; j < RUN + 2 * RADIUS; j++)
        v[j] = volumes[first + (uint64)clamp_index(z - RADIUS + j, d) * pixels];
      sum_run<RUN, RADIUS>(v, weights, sums);
#pragma unroll
      for (int j = 0; j < RUN; j++)
        if (z + j < d) put(out[first + (uint64)(z + j) * pixels], sums[j]);
    }
}

#else

enum : int {
  EDGE = 5,         // coarse pixels outside the image on each side
  TAPS = 2 * EDGE,  // coarse pixels that make one pixel
  REACH = EDGE * FACTOR,
  SIFTED = 128,  // coarse pixels of a row that a block makes
  PART = 160 + 32 / FACTOR,  // every FACTOR-th pixel of their source; no two lanes meet in a bank
  THREADS = 256,
  RUN = TILE_W * TILE_H / THREADS,
  COARSE_W = TILE_W / FACTOR,
  COARSE_ROWS = TILE_H / FACTOR + TAPS - 1,
  SOURCE_W = COARSE_W < WARP ? WARP + COARSE_W : COARSE_W + TAPS,  // two rows a warp: other banks
};

// (n, size, pixels) -> (n, coarse, pixels)
extern "C" __global__ void __launch_bounds__(THREADS)
    gaussian_shrink(const PIXEL* __restrict__ images, float* __restrict__ out, int n, int size,
                    int pixels, int coarse) {
  const float weights[] = {SHRINK};
  const int x = blockIdx.x * blockDim.x + threadIdx.x;
  if (x >= pixels) return;
  for (int image = blockIdx.z; image < n; image += gridDim.z)
    for (int m = blockIdx.y; m < coarse; m += gridDim.y) {
      const PIXEL* column = images + (uint64)image * size * pixels + x;
      const int y = (m - EDGE) * FACTOR;
      float sum = weights[0] * (float)column[(uint64)clamp_index(y, size) * pixels];
#pragma unroll
      for (int k = 1; k <= REACH; k++) {
        const float before = (float)column[(uint64)clamp_index(y - k, size) * pixels];
        const float after = (float)column[(uint64)clamp_index(y + k, size) * pixels];
        sum += weights[k] * (before + after);
      }
      out[((uint64)image * coarse + m) * pixels + x] = sum;
    }
}

// (n, h, w) -> (n, h, coarse)
extern "C" __global__ void __launch_bounds__(SIFTED)
    gaussian_sift(const float* __restrict__ images, float* __restrict__ out,
                  int* __restrict__ unfinished, int n, int slices, int h, int w, int coarse) {
  __shared__ float sorted[FACTOR][PART], edges[2];
  const float weights[] = {SHRINK};
  const int first = blockIdx.x * SIFTED, m = first + threadIdx.x;
  for (int image = blockIdx.z; image < n; image += gridDim.z)
    for (int y = blockIdx.y; y < h; y += gridDim.y) {
      const uint64 line = (uint64)image * h + y;
      const int x = (first - EDGE) * FACTOR - REACH, span = SIFTED * FACTOR + 2 * REACH;
      const float* row = images + line * w;
      if (threadIdx.x < 2) edges[threadIdx.x] = row[threadIdx.x * (w - 1)];
      for (int i = threadIdx.x; i < min(span, w - x); i += SIFTED)
        if (x + i >= 0) sorted[i % FACTOR][i / FACTOR] = row[x + i];
      __syncthreads();
      for (int i = threadIdx.x; i < span; i += SIFTED)
        if (x + i < 0 || x + i >= w) sorted[i % FACTOR][i / FACTOR] = edges[x + i >= w];
      __syncthreads();
      float sum = weights[0] * sorted[REACH % FACTOR][threadIdx.x + REACH / FACTOR];
#pragma unroll
      for (int k = 1; k <= REACH; k++) {
        const int before = REACH - k, after = REACH + k;
        sum += weights[k] * (sorted[before % FACTOR][threadIdx.x + before / FACTOR] +
                             sorted[after % FACTOR][threadIdx.x + after / FACTOR]);
      }
      if (m < coarse) {
        out[line * coarse + m] = sum;
        if (!isfinite(sum)) atomicOr(unfinished + image / slices, 1);
      }
      __syncthreads();
    }
}

// sum over k of grow[phase][k] v[first + k]
template <int size>
__device__ __forceinline__ float weigh(const float (&v)[size], int first, int phase) {
  const float weights[FACTOR][TAPS] = {GROW};
  float sum = weights[phase][0] * v[first];
#pragma unroll
  for (int k = 1; k < TAPS; k++) sum += weights[phase][k] * v[first + k];
  return sum;
}

// (n, coarse, pixels) -> (n, size, pixels)
extern "C" __global__ void __launch_bounds__(THREADS)
    gaussian_deepen(const float* __restrict__ images, float* __restrict__ out, int n, int coarse,
                    int pixels, int size) {
  const int x = blockIdx.x * blockDim.x + threadIdx.x;
  if (x >= pixels) return;
  for (int image = blockIdx.z; image < n; image += gridDim.z)
    for (int m = blockIdx.y; m * FACTOR < size; m += gridDim.y) {
      float v[TAPS];
#pragma unroll
      for (int k = 0; k < TAPS; k++)
        v[k] = images[((uint64)image * coarse + m + 1 + k) * pixels + x];
#pragma unroll
      for (int phase = 0; phase < FACTOR; phase++)
        if (m * FACTOR + phase < size)
          out[((uint64)image * size + m * FACTOR + phase) * pixels + x] = weigh(v, 0, phase);
    }
}

// One coarse pixel's FACTOR pixels along x, from the coarse row at `from`; in vectors, the halves of
// eight in turns, so that no two lanes meet in a bank.
__device__ __forceinline__ void grow_row(const float* from, float* to, int column) {
  float v[TAPS], grown[FACTOR];
#pragma unroll
  for (int k = 0; k < TAPS; k++) v[k] = from[column + k];
#pragma unroll
  for (int phase = 0; phase < FACTOR; phase++) grown[phase] = weigh(v, 0, phase);
  to += column * FACTOR;
  if (FACTOR == 2) {
    *reinterpret_cast<float2*>(to) = make_float2(grown[0], grown[1]);
    return;
  }
  float4* fours = reinterpret_cast<float4*>(to);
  const float4 low = make_float4(grown[0], grown[1], grown[2], grown[3]);
  if (FACTOR == 4) {
    fours[0] = low;
    return;
  }
  const float4 high =
      make_float4(grown[FACTOR - 4], grown[FACTOR - 3], grown[FACTOR - 2], grown[FACTOR - 1]);
  const bool odd = column & 4;
  fours[odd] = odd ? high : low;
  fours[!odd] = odd ? low : high;
}

// (n, coarse_h, coarse_w) -> (n, h, w)
extern "C" __global__ void __launch_bounds__(THREADS)
    gaussian_grow(const float* __restrict__ coarse, RESULT* __restrict__ out,
                  const int* __restrict__ unfinished, int n, int slices, int coarse_h, int coarse_w,
                  int h, int w) {
  __shared__ float tile[COARSE_ROWS][SOURCE_W];
  __shared__ __align__(16) float wide[COARSE_ROWS][TILE_W];
  const int x = blockIdx.x * TILE_W;
  const int column = threadIdx.x % TILE_W, first = threadIdx.x / TILE_W * RUN;
  for (int image = blockIdx.z; image < n; image += gridDim.z)
    for (int y = blockIdx.y * TILE_H; y < h; y += gridDim.y * TILE_H) {
      load_tile<COARSE_ROWS, SOURCE_W>(tile, coarse + (uint64)image * coarse_h * coarse_w,
                                       y / FACTOR + 1, x / FACTOR + 1, coarse_h, coarse_w);
      __syncthreads();
      for (int e = threadIdx.x; e < COARSE_ROWS * COARSE_W; e += THREADS)
        grow_row(tile[e / COARSE_W], wide[e / COARSE_W], e % COARSE_W);
      __syncthreads();
      float v[RUN / FACTOR + TAPS - 1];
#pragma unroll
      for (int k = 0; k < RUN / FACTOR + TAPS - 1; k++) v[k] = wide[first / FACTOR + k][column];
      const bool lost = unfinished[image / slices];
      RESULT* pixels = out + ((uint64)image * h + y + first) * w + x + column;
#pragma unroll
      for (int j = 0; j < RUN; j++) {
        const float sum = weigh(v, j / FACTOR, j % FACTOR);
        if (y + first + j < h && x + column < w)
          put(pixels[(uint64)j * w], lost ? __int_as_float(0x7fc00000) : sum);
      }
      __syncthreads();
    }
}

#endif

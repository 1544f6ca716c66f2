// Total variation: primal-dual iterations on tiles in shared memory, and the duality gap.
// Macros: PIXEL, ISOTROPIC, AXES (2: images, 3: volumes), HALO (iterations that a tile stays in
// shared memory), TILE_X, TILE_Y, TILE_Z (with the halo).
//
// The state of a batch is planes[PLANES][n][d][h][w]: u, v and the components of p along x, y, z.
// Images are volumes with d = 1. Pixels outside the image are NaN in u, v and the image and 0 in
// p: nothing flows to a pixel that is no number, so that borders need no code of their own.
#include "_cuda.cuh"

enum : int { THREADS = 512, CELLS = TILE_X * TILE_Y * TILE_Z, EACH = CELLS / THREADS };
enum : int { U = 0, V = 1, P = 2, PLANES = 2 + AXES };
enum : int { UNIT = 256 };

struct Settings {
  float weight, unit;
  bool works;
};
__device__ __forceinline__ Settings settings(float sigma, float strength, float gap) {
  const float weight = strength * sigma;
  return {weight, UNIT / (gap * sigma * sigma), weight > 0 && weight <= 3.402823466e38f};
}

// Zero where one of the pixels is no number.
__device__ __forceinline__ float difference(float ahead, float here) {
  const float d = ahead - here;
  return fabsf(d) <= 3.402823466e38f ? d : 0.0f;
}

__device__ __forceinline__ void project(float (&p)[AXES]) {
  if (ISOTROPIC) {
    float squares = p[0] * p[0];
    for (int a = 1; a < AXES; ++a) squares += p[a] * p[a];
    const float factor = 1.0f / fmaxf(sqrtf(squares), 1.0f);
    for (int a = 0; a < AXES; ++a) p[a] *= factor;
  } else {
    for (int a = 0; a < AXES; ++a) p[a] = fminf(fmaxf(p[a], -1.0f), 1.0f);
  }
}

// A cell of the tile: its place in shared memory, its coordinates there, its pixel.
struct Cell {
  int at, x, y, z, pixel;
  bool in_image, in_core;
};
__device__ __forceinline__ Cell cell(int k, int x0, int y0, int z0, int d, int h, int w) {
  Cell c;
  c.at = threadIdx.x + k * THREADS;
  c.x = c.at % TILE_X, c.y = c.at / TILE_X % TILE_Y, c.z = c.at / (TILE_X * TILE_Y);
  const int x = x0 + c.x, y = y0 + c.y, z = z0 + c.z;
  c.in_image = x >= 0 && x < w && y >= 0 && y < h && z >= 0 && z < d;
  c.in_core = c.in_image && c.x >= HALO && c.x < TILE_X - HALO && c.y >= HALO &&
              c.y < TILE_Y - HALO && (AXES == 2 || (c.z >= HALO && c.z < TILE_Z - HALO));
  c.pixel = (z * h + y) * w + x;
  return c;
}

// At most HALO iterations, from `before` to `after`, the first with the step `primal`; blocks
// (tile, image). Images whose gap is small enough stay as they are.
extern "C" __global__ void __launch_bounds__(THREADS, 2)
    tv_iterate(const PIXEL* __restrict__ images, const float* __restrict__ before,
               float* __restrict__ after, const float* __restrict__ sigma,
               const uint64* __restrict__ gaps, int n, int d, int h, int w, int iterations,
               int fresh, float primal, float strength, float gap) {
  __shared__ float v[CELLS], p[AXES][CELLS];
  const int image = blockIdx.y, pixels = d * h * w;
  const Settings set = settings(sigma[image], strength, gap);
  if (!set.works || gaps[image] <= (uint64)UNIT * pixels) return;
  const uint64 start = (uint64)image * pixels, plane = (uint64)n * pixels;

  const int core_x = TILE_X - 2 * HALO, core_y = TILE_Y - 2 * HALO;
  const int core_z = AXES == 2 ? 1 : TILE_Z - 2 * HALO;
  const int across = ceil_div(w, core_x), down = ceil_div(h, core_y);
  const int x0 = blockIdx.x % across * core_x - HALO;
  const int y0 = blockIdx.x / across % down * core_y - HALO;
  const int z0 = blockIdx.x / (across * down) * core_z - (AXES == 2 ? 0 : HALO);

  float f[EACH], u[EACH];
#pragma unroll
  for (int k = 0; k < EACH; ++k) {
    const Cell c = cell(k, x0, y0, z0, d, h, w);
    const uint64 from = start + c.pixel;
    const bool old = c.in_image && !fresh;
    f[k] = c.in_image ? (float)images[from] : __int_as_float(0x7fffffff);
    u[k] = old ? before[U * plane + from] : f[k];
    v[c.at] = old ? before[V * plane + from] : f[k];
    for (int a = 0; a < AXES; ++a) p[a][c.at] = old ? before[(P + a) * plane + from] : 0.0f;
  }
  __syncthreads();

  for (int i = 0; i < iterations; ++i) {
    const float dual = 1.0f / (4 * AXES * primal) / set.weight;
    const float extra = 1.0f / sqrtf(1.0f + primal), share = 1.0f / (1.0f + primal);
#pragma unroll
    for (int k = 0; k < EACH; ++k) {
      const Cell c = cell(k, x0, y0, z0, d, h, w);
      const float here = v[c.at];
      float q[AXES];  // the pixel ahead, then p
      q[0] = c.x + 1 < TILE_X ? v[c.at + 1] : here;
      q[1] = c.y + 1 < TILE_Y ? v[c.at + TILE_X] : here;
      if (AXES == 3) q[AXES - 1] = c.z + 1 < TILE_Z ? v[c.at + TILE_X * TILE_Y] : here;
      for (int a = 0; a < AXES; ++a) q[a] = p[a][c.at] + dual * difference(q[a], here);
      project(q);
      for (int a = 0; a < AXES; ++a) p[a][c.at] = q[a];
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < EACH; ++k) {
      const Cell c = cell(k, x0, y0, z0, d, h, w);
      float inflow = (c.x ? p[0][c.at - 1] : 0.0f) - p[0][c.at];
      inflow += (c.y ? p[1][c.at - TILE_X] : 0.0f) - p[1][c.at];
      if (AXES == 3)
        inflow += (c.z ? p[AXES - 1][c.at - TILE_X * TILE_Y] : 0.0f) - p[AXES - 1][c.at];
      const float next = (u[k] + primal * (f[k] - set.weight * inflow)) * share;
      v[c.at] = next + extra * (next - u[k]);
      u[k] = next;
    }
    primal *= extra;
    __syncthreads();
  }

#pragma unroll
  for (int k = 0; k < EACH; ++k) {
    const Cell c = cell(k, x0, y0, z0, d, h, w);
    if (!c.in_core) continue;
    const uint64 to = start + c.pixel;
    after[U * plane + to] = u[k];
    after[V * plane + to] = v[c.at];
    for (int a = 0; a < AXES; ++a) after[(P + a) * plane + to] = p[a][c.at];
  }
}

// gaps[image] += the gap, in units; blocks (part, image). An image that was finished stays at 0.
extern "C" __global__ void __launch_bounds__(THREADS)
    tv_gap(const PIXEL* __restrict__ images, const float* __restrict__ state,
           const float* __restrict__ sigma, const uint64* __restrict__ gaps_before,
           uint64* __restrict__ gaps, int n, int d, int h, int w, float strength, float gap) {
  __shared__ uint64 scratch[THREADS / WARP];
  const int image = blockIdx.y, pixels = d * h * w;
  const Settings set = settings(sigma[image], strength, gap);
  if (!set.works || gaps_before[image] <= (uint64)UNIT * pixels) return;
  const uint64 start = (uint64)image * pixels, plane = (uint64)n * pixels;
  const float* u = state + start;

  uint64 total = 0;
  for (int i = blockIdx.x * THREADS + threadIdx.x; i < pixels; i += gridDim.x * THREADS) {
    const int step[3] = {1, w, h * w}, place[3] = {i % w, i / w % h, i / (h * w)};
    const int size[3] = {w, h, d};
    float squares = 0, product = 0, inflow = 0;
    for (int a = 0; a < AXES; ++a) {
      const float* q = state + (P + a) * plane + start + i;
      const float slope = place[a] + 1 < size[a] ? difference(u[i + step[a]], u[i]) : 0.0f;
      squares += ISOTROPIC ? slope * slope : fabsf(slope);
      product += slope * q[0];
      inflow += (place[a] ? q[-step[a]] : 0.0f) - q[0];
    }
    const float length = ISOTROPIC ? sqrtf(squares) : squares;
    const float rest = (u[i] - (float)images[start + i]) + set.weight * inflow;
    const float part = (0.5f * rest * rest + set.weight * (length - product)) * set.unit;
    total += (uint64)(part > 0 ? fminf(part, 34359738368.0f) : 0.0f);
  }
  total = block_reduce(total, scratch, Sum());
  if (threadIdx.x == 0) atomicAdd(gaps + image, total);
}

extern "C" __global__ void __launch_bounds__(THREADS)
    tv_finish(const PIXEL* __restrict__ images, const float* __restrict__ state,
              const float* __restrict__ sigma, PIXEL* __restrict__ out, int pixels,
              float strength) {
  const int image = blockIdx.y;
  const Settings set = settings(sigma[image], strength, 1.0f);
  const uint64 start = (uint64)image * pixels;
  for (int i = blockIdx.x * THREADS + threadIdx.x; i < pixels; i += gridDim.x * THREADS) {
    if (set.works)
      set_pixel(out[start + i], state[start + i]);
    else
      out[start + i] = images[start + i];
  }
}

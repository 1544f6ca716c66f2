// Anisotropic diffusion: several iterations on a tile in shared memory.
// Macros: PIXEL, CONDUCTANCE (0 exp, 1 rational, 2 curvature), AXES (2: images, 3: volumes), HALO
// (iterations that a tile stays in shared memory), TILE_X, TILE_Y, TILE_Z (with the halo).
//
// Images are volumes with d = 1. Pixels outside the image are NaN: nothing flows to a pixel that is
// no number, so that borders need no code of their own.
#include "_cuda.cuh"

enum : int { THREADS = 512, CELLS = TILE_X * TILE_Y * TILE_Z, EACH = CELLS / THREADS };

__device__ __forceinline__ bool finite(float x) { return fabsf(x) <= 3.402823466e38f; }

// Zero where one of the pixels is no number.
__device__ __forceinline__ float difference(float ahead, float here) {
  const float d = ahead - here;
  return finite(d) ? d : 0.0f;
}

__device__ __forceinline__ float flow(float ahead, float here, float scale) {
  const float d = difference(ahead, here), t = d * scale;
  return CONDUCTANCE == 1 ? d / (1.0f + t * t) : d * exp32(-(t * t));
}

// A cell of the tile: its place in shared memory, its coordinates there, its pixel.
struct Cell {
  int at, place[3], pixel;
  bool in_image, in_core;
};
__device__ __forceinline__ Cell cell(int k, int x0, int y0, int z0, int d, int h, int w) {
  Cell c;
  c.at = threadIdx.x + k * THREADS;
  const int i = c.at % TILE_X, j = c.at / TILE_X % TILE_Y, l = c.at / (TILE_X * TILE_Y);
  const int x = x0 + i, y = y0 + j, z = z0 + l;
  c.place[0] = i, c.place[1] = j, c.place[2] = l;
  c.in_image = x >= 0 && x < w && y >= 0 && y < h && z >= 0 && z < d;
  c.in_core = c.in_image && i >= HALO && i < TILE_X - HALO && j >= HALO && j < TILE_Y - HALO &&
              (AXES == 2 || (l >= HALO && l < TILE_Z - HALO));
  c.pixel = (z * h + y) * w + x;
  return c;
}

// The neighbours of a cell along an axis; at the end of the tile the cell itself.
__device__ __forceinline__ float ahead(const float* v, const Cell& c, int axis) {
  const int step = axis == 0 ? 1 : axis == 1 ? TILE_X : TILE_X * TILE_Y;
  const int side = axis == 0 ? TILE_X : axis == 1 ? TILE_Y : TILE_Z;
  return v[c.at + (c.place[axis] + 1 < side ? step : 0)];
}
__device__ __forceinline__ float behind(const float* v, const Cell& c, int axis) {
  const int step = axis == 0 ? 1 : axis == 1 ? TILE_X : TILE_X * TILE_Y;
  return v[c.at - (c.place[axis] ? step : 0)];
}

// The central difference in units of kappa; that of a pixel that is no number is none.
__device__ __forceinline__ float slope(const float* u, const Cell& c, int axis, float half) {
  const float here = u[c.at];
  const float d = difference(ahead(u, c, axis), here) + difference(here, behind(u, c, axis));
  return half * d + (here - here);
}

// What a pixel gains in a time step. `faces`: what flows out ahead, or the slopes.
__device__ __forceinline__ float gain(const float* u, const float (*faces)[CELLS], const Cell& c,
                                      float kappa, float step) {
  if (CONDUCTANCE < 2) {
    float inflow = 0;
    for (int a = 0; a < AXES; ++a)
      inflow += faces[a][c.at] - (c.place[a] ? behind(faces[a], c, a) : 0.0f);
    return step * inflow;
  }
  const float here = u[c.at], scale = 1.0f / kappa;
  float g[AXES], squares = 0, change = 0;
  for (int a = 0; a < AXES; ++a) {
    g[a] = faces[a][c.at];
    squares += g[a] * g[a];
  }
  for (int a = 0; a < AXES; ++a) {
    const float d = difference(ahead(u, c, a), here) - difference(here, behind(u, c, a));
    change += scale * d * (squares - g[a] * g[a]);
  }
  for (int b = 1; b < AXES; ++b) {
    for (int a = 0; a < b; ++a) {
      const float d = difference(ahead(faces[a], c, b), g[a]) +
                      difference(g[a], behind(faces[a], c, b));
      change -= g[a] * g[b] * d;
    }
  }
  const float d = step * kappa * (change / (squares + 0.0025f) * exp32(-squares));
  return finite(d) ? d : 0.0f;
}

// At most HALO iterations; blocks (tile, image). The first launch reads the images instead of
// `before`, the last writes `out` instead of `after`.
extern "C" __global__ void __launch_bounds__(THREADS, 2)
    diffuse(const PIXEL* __restrict__ images, const float* __restrict__ before,
            float* __restrict__ after, PIXEL* __restrict__ out, const float* __restrict__ sigma,
            int d, int h, int w, int iterations, int first, int last, float strength, float step) {
  __shared__ float u[CELLS], faces[AXES][CELLS];
  const int image = blockIdx.y;
  const float kappa = strength * sigma[image], scale = 1.0f / kappa;
  const bool works = kappa > 0 && finite(kappa);
  const uint64 start = (uint64)image * d * h * w;

  const int core_x = TILE_X - 2 * HALO, core_y = TILE_Y - 2 * HALO;
  const int core_z = AXES == 2 ? 1 : TILE_Z - 2 * HALO;
  const int across = ceil_div(w, core_x), down = ceil_div(h, core_y);
  const int x0 = blockIdx.x % across * core_x - HALO;
  const int y0 = blockIdx.x / across % down * core_y - HALO;
  const int z0 = blockIdx.x / (across * down) * core_z - (AXES == 2 ? 0 : HALO);

#pragma unroll
  for (int k = 0; k < EACH; ++k) {
    const Cell c = cell(k, x0, y0, z0, d, h, w);
    u[c.at] = !c.in_image      ? __int_as_float(0x7fffffff)
              : first || !works ? (float)images[start + c.pixel]
                                : before[start + c.pixel];
  }
  __syncthreads();

  for (int i = 0; i < iterations && works; ++i) {
#pragma unroll
    for (int k = 0; k < EACH; ++k) {
      const Cell c = cell(k, x0, y0, z0, d, h, w);
      for (int a = 0; a < AXES; ++a)
        faces[a][c.at] = CONDUCTANCE < 2 ? flow(ahead(u, c, a), u[c.at], scale)
                                         : slope(u, c, a, 0.5f / kappa);
    }
    __syncthreads();
    float gains[EACH];
#pragma unroll
    for (int k = 0; k < EACH; ++k)
      gains[k] = gain(u, faces, cell(k, x0, y0, z0, d, h, w), kappa, step);
    if (CONDUCTANCE == 2) __syncthreads();
#pragma unroll
    for (int k = 0; k < EACH; ++k) u[threadIdx.x + k * THREADS] += gains[k];
    __syncthreads();
  }

#pragma unroll
  for (int k = 0; k < EACH; ++k) {
    const Cell c = cell(k, x0, y0, z0, d, h, w);
    if (!c.in_core) continue;
    if (last)
      set_pixel(out[start + c.pixel], u[c.at]);
    else
      after[start + c.pixel] = u[c.at];
  }
}

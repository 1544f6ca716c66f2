// Bilateral filter. A block of 256 threads computes a tile of 64 columns, TILE_ROWS rows and
// TILE_DEPTH slices; the pixels under it and its borders lie in shared memory as float32. A thread
// goes through the taps of its pixels in the order of the CPU's two sums (see bilateral.py): taps
// before the pixel, their columns from the right, and taps after it, columns from the left.
#include "_cuda.cuh"

enum : int {
  THREADS = 256,
  TILE_COLUMNS = 64,
  SLICES = TILE_DEPTH + 2 * DEEP,
  ROWS = TILE_ROWS + 2 * RADIUS,
  COLUMNS = TILE_COLUMNS + 2 * RADIUS,
};

__device__ float missing() { return 1e18f; }  // stands for what is not finite

// 2^exponent for exponents up to 0, relative error below 4e-6: the bits of _weight in bilateral.py
__device__ __forceinline__ float weight_of(float exponent) {
  const float ROUND = 12582912.0f;  // 1.5 * 2^23: adding it leaves the whole part in the last bits
  exponent = exponent > -110.0f ? exponent : -110.0f;
  const float shifted = exponent + ROUND;
  const float f = exponent - (shifted - ROUND);
  float p = 9.5828306e-3f;
  p = p * f + 5.590637e-2f;
  p = p * f + 2.4024099e-1f;
  p = p * f + 6.9312418e-1f;
  p = p * f + 1.0f;
  return __int_as_float(__float_as_int(p) + (__float_as_int(shifted) << 23));
}

struct Sum2 {
  float weight, change;

  __device__ __forceinline__ void add(float p, float q, float near, float like) {
    const float apart = q - p;
    const float w = weight_of(near - apart * apart * like);
    weight += w;
    change += w * apart;
  }
};

struct Tile {
  float pixels[SLICES][ROWS][COLUMNS];

  // What lies under the tile at (z, y, x), by all threads; a warp takes a row in steps of 32 pixels
  // from the tile's first: aligned where the image's rows are.
  __device__ void load(const PIXEL* volume, int z, int y, int x, int d, int h, int w) {
    const int lane = threadIdx.x % WARP;
    for (int row = threadIdx.x / WARP; row < SLICES * ROWS; row += THREADS / WARP) {
      const int k = row / ROWS, j = row % ROWS;
      const uint64 slice = clamp_index(z - DEEP + k, d);
      const PIXEL* line = volume + (slice * h + clamp_index(y - RADIUS + j, h)) * w;
      for (int start = -WARP; start < TILE_COLUMNS + RADIUS; start += WARP) {
        const int i = start + lane;
        if (-RADIUS <= i && i < TILE_COLUMNS + RADIUS) {
          const float pixel = (float)line[clamp_index(x + i, w)];
          pixels[k][j][i + RADIUS] = fabsf(pixel) < missing() ? pixel : missing();
        }
      }
    }
    __syncthreads();
  }

  // The filtered pixel at (k, j, i) of the tile.
  __device__ float filter(int k, int j, int i, float near, float like) const {
    const float p = pixels[k + DEEP][j + RADIUS][i + RADIUS];
    Sum2 before = {0.0f, 0.0f}, after = {1.0f, 0.0f};
    for (int dz = -DEEP; dz <= DEEP; dz++)
      for (int dy = -RADIUS; dy <= RADIUS; dy++) {
        const int rest = RADIUS * RADIUS - dz * dz - dy * dy;
        if (rest < 0) continue;
        const float* q = &pixels[k + DEEP + dz][j + RADIUS + dy][i + RADIUS];
        const int reach = (int)sqrtf((float)rest), far = dz * dz + dy * dy;
        const bool own = dz == 0 && dy == 0;
        if (dz < 0 || (dz == 0 && dy < 0) || own)
          for (int dx = own ? -1 : reach; dx >= -reach; dx--)
            before.add(p, q[dx], -near * (float)(far + dx * dx), like);
        if (dz > 0 || (dz == 0 && dy > 0) || own)
          for (int dx = own ? 1 : -reach; dx <= reach; dx++)
            after.add(p, q[dx], -near * (float)(far + dx * dx), like);
      }
    return p + (before.change + after.change) / (before.weight + after.weight);
  }
};

extern "C" __global__ void __launch_bounds__(THREADS, 4)
    bilateral(const PIXEL* __restrict__ images, PIXEL* __restrict__ out,
              const float* __restrict__ sigma, int n, int d, int h, int w, float near,
              float strength) {
  __shared__ Tile tile;
  const int x = blockIdx.x * TILE_COLUMNS, i = threadIdx.x % TILE_COLUMNS;
  const int deep = ceil_div(d, (int)TILE_DEPTH);
  for (int item = blockIdx.z; item < n * deep; item += gridDim.z)
    for (int y = blockIdx.y * TILE_ROWS; y < h; y += gridDim.y * TILE_ROWS) {
      const int image = item / deep, z = item % deep * TILE_DEPTH;
      const uint64 first = (uint64)image * d * h * w;
      const float range = strength * sigma[image], like = 0.72134752f / (range * range);
      tile.load(images + first, z, y, x, d, h, w);
      for (int row = threadIdx.x / TILE_COLUMNS; row < TILE_DEPTH * TILE_ROWS;
           row += THREADS / TILE_COLUMNS) {
        const int k = row / TILE_ROWS, j = row % TILE_ROWS;
        if (z + k >= d || y + j >= h || x + i >= w) continue;
        const uint64 at = first + ((uint64)(z + k) * h + y + j) * w + x + i;
        const float p = tile.pixels[k + DEEP][j + RADIUS][i + RADIUS];
        if (p == missing())
          out[at] = images[at];
        else
          set_pixel(out[at], tile.filter(k, j, i, near, like));
      }
      __syncthreads();
    }
}

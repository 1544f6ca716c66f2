// Mean and variance of sliding windows in shared memory: the bits of _speckle_windows.py.
#include "_cuda.cuh"

enum : int {
  THREADS = 256,
  SIDE = 2 * RADIUS + 1,
  PATCH_ROWS = TILE_ROWS + 2 * RADIUS,
  PATCH_COLUMNS = TILE_COLUMNS + 2 * RADIUS,
  PATCH = PATCH_ROWS * PATCH_COLUMNS,
  EACH = (PATCH + THREADS - 1) / THREADS,
};

// The mean and spread (sum of squared deviations) of a group of pixels, one for every place of the
// patch. Groups that would reach beyond a row's end run on in the next row: nobody asks for them.
struct Groups {
  float mean[PATCH], spread[PATCH];

  // Groups of `count` pixels, each with the group of `count_b` pixels at k + shift of `b` added.
  __device__ void merge(const Groups& b, int k, int shift, int count, int count_b, float& new_mean,
                        float& new_spread) const {
    const float weight = (float)count_b / (float)(count + count_b);
    const float factor = (float)count * weight;
    const float d = b.mean[k + shift] - mean[k];
    new_mean = mean[k] + d * weight;
    new_spread = (spread[k] + b.spread[k + shift]) + (d * d) * factor;
  }

  __device__ void add(const Groups& b, int shift, int count, int count_b) {
    for (int k = threadIdx.x; k < PATCH - shift; k += THREADS)
      merge(b, k, shift, count, count_b, mean[k], spread[k]);
  }

  // Each with its own neighbour: all read before anybody writes.
  __device__ void twice(int shift, int count) {
    float new_mean[EACH], new_spread[EACH];
#pragma unroll
    for (int e = 0; e < EACH; e++) {
      const int k = threadIdx.x + e * THREADS;
      if (k < PATCH - shift) merge(*this, k, shift, count, count, new_mean[e], new_spread[e]);
    }
    __syncthreads();
#pragma unroll
    for (int e = 0; e < EACH; e++) {
      const int k = threadIdx.x + e * THREADS;
      if (k < PATCH - shift) {
        mean[k] = new_mean[e];
        spread[k] = new_spread[e];
      }
    }
    __syncthreads();
  }
};

struct Windows {
  Groups whole, part;

  // Groups of `unit` pixels become groups of SIDE of them, `stride` places apart.
  __device__ void widen(int stride, int unit) {
    int have = 1;
#pragma unroll
    for (int size = 1; 2 * size <= SIDE; size *= 2) {
      part.twice(size * stride, size * unit);
      if (SIDE & 2 * size) {
        whole.add(part, have * stride, have * unit, 2 * size * unit);
        have += 2 * size;
      }
    }
  }

  // The pixels under the tile at (y, x) with their border, as means in `part`. A warp takes a row
  // in steps of 32 pixels from the tile's first: aligned where the image's rows are.
  __device__ void load_pixels(const PIXEL* image, int y, int x, int h, int w) {
    for (int j = threadIdx.x / WARP; j < PATCH_ROWS; j += THREADS / WARP) {
      const PIXEL* row = image + (uint64)clamp_index(y - RADIUS + j, h) * w;
      for (int i = threadIdx.x % WARP - WARP; i < TILE_COLUMNS + RADIUS; i += WARP)
        if (i >= -RADIUS)
          part.mean[j * PATCH_COLUMNS + i + RADIUS] = (float)row[clamp_index(x + i, w)];
    }
    __syncthreads();
  }

  // The windows of the tile at (y, x): window (j, i) is at place j * PATCH_COLUMNS + i. The pixels
  // go to `pixels` too, where that is not null.
  __device__ void load(const PIXEL* image, int y, int x, int h, int w, float* pixels) {
    load_pixels(image, y, x, h, w);
    for (int k = threadIdx.x; k < PATCH; k += THREADS) {
      whole.mean[k] = part.mean[k];
      if (pixels) pixels[k] = part.mean[k];
      whole.spread[k] = part.spread[k] = 0;
    }
    __syncthreads();
    widen(PATCH_COLUMNS, 1);
    __syncthreads();
    for (int k = threadIdx.x; k < PATCH; k += THREADS) {
      part.mean[k] = whole.mean[k];
      part.spread[k] = whole.spread[k];
    }
    __syncthreads();
    widen(1, SIDE);
    __syncthreads();
  }
};

struct Window {
  float mean, variance;
  const float* pixel;  // its centre, rows PATCH_COLUMNS apart; only where pixels are kept
};

// Calls visit(u of the image, offset of the pixel in the batch, window) for every pixel.
template <bool keep_pixels, typename Visit>
__device__ void for_each_window(const PIXEL* images, const float* speckle, int n, int h, int w,
                                Visit visit) {
  __shared__ Windows windows;
  __shared__ float pixels[keep_pixels ? PATCH : 1];
  const int x = blockIdx.x * TILE_COLUMNS;
  for (int image = blockIdx.z; image < n; image += gridDim.z) {
    const float u = speckle[image];
    for (int y = blockIdx.y * TILE_ROWS; y < h; y += gridDim.y * TILE_ROWS) {
      const uint64 first = (uint64)image * h * w;
      windows.load(images + first, y, x, h, w, keep_pixels ? pixels : nullptr);
      for (int k = threadIdx.x; k < TILE_ROWS * TILE_COLUMNS; k += THREADS) {
        const int j = k / TILE_COLUMNS, i = k % TILE_COLUMNS;
        if (y + j >= h || x + i >= w) continue;
        const int place = j * PATCH_COLUMNS + i;
        const float variance = windows.whole.spread[place] * (1.0f / (float)(SIDE * SIDE));
        const float* pixel = keep_pixels ? &pixels[place + RADIUS * (PATCH_COLUMNS + 1)] : nullptr;
        const uint64 offset = first + (uint64)(y + j) * w + x + i;
        visit(u, offset, Window{windows.whole.mean[place], variance, pixel});
      }
      __syncthreads();
    }
  }
}

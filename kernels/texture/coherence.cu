// Colour coherence vectors: see coherence.py.
// A kernel a step, each over all pixels of all regions: a row of blocks a region, blocks go on with
// region + gridDim.x. All counts are integers made with atomics; components are found by union-find
// on numbers of pixels, the root of one is its first pixel, whatever the order of the threads.
//
// PIXEL, LABEL: types; BOXES = 1: regions are whole boxes; SIDE: levels a channel; BLUR: 0 or 1.
#include "_cuda.cuh"

using int64 = long long;

enum : int { COLOURS = SIDE * SIDE * SIDE, CHANNELS = 3, ONE_PERCENT = 100, THREADS = 256 };
enum : int { COHERENT = 2 * COLOURS, COMPONENTS, LARGEST, FREQUENT, PIXELS, SUMS };  // of a region

// work(region, box, first, at, width): pixel number `at` of a box, whose pixels begin at `first`.
template <typename Work>
__device__ __forceinline__ void each_pixel(const int64* table, const int64* starts, int regions,
                                           Work work) {
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const int64* box = table + region * 8;
    const int width = box[7] - box[6], pixels = (box[5] - box[4]) * width;
    for (int at = blockIdx.y * THREADS + threadIdx.x; at < pixels; at += gridDim.y * THREADS)
      work(region, box, starts[region], at, width);
  }
}

// ---- colours

__device__ __forceinline__ bool belongs(LABEL found, int64 label) {
#if BOXES
  return true;
#else
  return label == 0 ? found != 0 : found == label;
#endif
}

// Level of the samples `channel` around a pixel.
__device__ __forceinline__ int level(const PIXEL* __restrict__ image, int y, int x, int channel,
                                     int h, int w, int bits) {
  uint32 sum = 0;
  for (int dy = -BLUR; dy <= BLUR; dy++)
    for (int dx = -BLUR; dx <= BLUR; dx++) {
      const uint64 at = (uint64)clamp_index(y + dy, h) * w + clamp_index(x + dx, w);
      sum += image[CHANNELS * at + channel];
    }
  return min(sum * SIDE / ((BLUR ? 9u : 1u) << bits), SIDE - 1u);
}

// colours: 1 + the colour of each pixel, 0 outside; each pixel is a component of its own.
extern "C" __global__ void __launch_bounds__(THREADS)
paint(const PIXEL* __restrict__ images, const LABEL* __restrict__ labels,
      const int64* __restrict__ table, const int64* __restrict__ starts, uint8* colours,
      uint32* parents, uint32* sizes, int regions, int h, int w, int bits) {
  each_pixel(table, starts, regions, [&](int, const int64* box, int64 first, int at, int width) {
    const int y = box[4] + at / width, x = box[6] + at % width;
    const PIXEL* image = images + CHANNELS * (uint64)box[0] * h * w;
    const bool inside = belongs(labels[((uint64)box[0] * h + y) * w + x], box[1]);
    int colour = 0;
#pragma unroll 1
    for (int channel = 0; inside && channel < CHANNELS; channel++)
      colour = colour * SIDE + level(image, y, x, channel, h, w, bits);
    colours[first + at] = inside ? colour + 1 : 0;
    parents[first + at] = at;
    sizes[first + at] = 0;
  });
}

// ---- components

// While other threads join components: an atomic operation that changes nothing reads.
__device__ __forceinline__ uint32 root_by_now(uint32* parents, uint32 pixel) {
  for (uint32 parent; (parent = atomicOr(&parents[pixel], 0u)) != pixel;) pixel = parent;
  return pixel;
}

__device__ __forceinline__ void join(uint32* parents, uint32 one, uint32 other) {
  while ((one = root_by_now(parents, one)) != (other = root_by_now(parents, other))) {
    const uint32 low = min(one, other), high = max(one, other);
    one = atomicMin(&parents[high], low);
    if (one == high) return;
    other = low;  // `high` had got another parent: that one joins, too
  }
}

// Joins each pixel with its earlier neighbours of the same colour: above, left, and the two beside
// the one above. Those that touch one another have met already: the one above touches all others,
// the one to the left the one above that.
extern "C" __global__ void __launch_bounds__(THREADS)
connect(const int64* __restrict__ table, const int64* __restrict__ starts,
        const uint8* __restrict__ colours, uint32* parents, int regions) {
  each_pixel(table, starts, regions, [&](int, const int64*, int64 first, int at, int width) {
    const uint8* here = colours + first + at;
    if (*here == 0) return;
    const int y = at / width, x = at % width;
    const auto same = [&](int step) { return here[-step] == *here; };
    const bool up = y > 0 && same(width), left = x > 0 && same(1);
    const bool up_left = y > 0 && x > 0 && same(width + 1);
    const bool up_right = y > 0 && x + 1 < width && same(width - 1);
    uint32 found = up ? 1 : (left ? 2 : up_left ? 4 : 0) | (up_right ? 8 : 0);
    for (; found; found &= found - 1) {
      const int step = found & 1 ? width : found & 2 ? 1 : found & 4 ? width + 1 : width - 1;
      join(parents + first, at, at - step);
    }
  });
}

// sizes: of each component at its root, elsewhere 0.
extern "C" __global__ void __launch_bounds__(THREADS)
weigh(const int64* __restrict__ table, const int64* __restrict__ starts,
      const uint8* __restrict__ colours, const uint32* __restrict__ parents, uint32* sizes,
      int regions) {
  each_pixel(table, starts, regions, [&](int, const int64*, int64 first, int at, int) {
    if (colours[first + at] == 0) return;
    while (parents[first + at] != at) at = parents[first + at];
    atomicAdd(&sizes[first + at], 1u);
  });
}

// ---- sums of a region, which are 0 before

extern "C" __global__ void __launch_bounds__(THREADS)
survey(const int64* __restrict__ table, const int64* __restrict__ starts,
       const uint32* __restrict__ sizes, uint32* all_sums, int regions) {
  each_pixel(table, starts, regions, [&](int region, const int64*, int64 first, int at, int) {
    const uint32 size = sizes[first + at];
    if (size == 0) return;
    uint32* sums = all_sums + (uint64)region * SUMS;
    atomicAdd(&sums[COMPONENTS], 1u);
    atomicMax(&sums[LARGEST], size);
    atomicAdd(&sums[PIXELS], size);
  });
}

extern "C" __global__ void __launch_bounds__(THREADS)
classify(const int64* __restrict__ table, const int64* __restrict__ starts,
         const uint8* __restrict__ colours, const uint32* __restrict__ sizes, uint32* all_sums,
         int regions, double tau) {
  each_pixel(table, starts, regions, [&](int region, const int64*, int64 first, int at, int) {
    const uint32 size = sizes[first + at];
    if (size == 0) return;
    uint32* sums = all_sums + (uint64)region * SUMS;
    const bool large = size >= tau * sums[PIXELS];
    atomicAdd(&sums[(large ? 0 : COLOURS) + colours[first + at] - 1], size);
    if (large) atomicAdd(&sums[COHERENT], size);
  });
}

// The columns: shares of the region's pixels, but two that are numbers.
extern "C" __global__ void __launch_bounds__(THREADS)
divide(uint32* __restrict__ all_sums, float* __restrict__ out, int regions) {
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    uint32* sums = all_sums + (uint64)region * SUMS;
    float* values = out + (uint64)region * PIXELS;
    const uint32 pixels = sums[PIXELS];
    for (int k = threadIdx.x; k < COLOURS; k += THREADS) {
      const uint32 found = sums[k] + sums[COLOURS + k];
      if (found && (uint64)ONE_PERCENT * found >= pixels) atomicAdd(&sums[FREQUENT], 1u);
    }
    __syncthreads();
    for (int k = threadIdx.x; k < PIXELS; k += THREADS) {
      const bool number = pixels && (k == COMPONENTS || k == FREQUENT);
      const double whole = number ? 1.0 : pixels;  // 0: an empty region is 0 / 0
      values[k] = (float)(sums[k] / whole);
    }
  }
}

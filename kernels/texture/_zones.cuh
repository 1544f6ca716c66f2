// Zones of touching pixels of one level; the twin of _zones.py. By a block of 256 threads.
//
// Union-find with atomics on numbers of pixels: the root of a zone is its first pixel, whatever the
// order in which threads join them.
#pragma once
#include "_emphasis.cuh"

enum : int { NEIGHBOURS = 13 };  // earlier ones, at most

// Where the earlier neighbours of a pixel are, by `steps` (m, 3); the caller synchronises.
__device__ void place(const int64* steps, int neighbours, const int64* crop, int64* offsets) {
  for (int m = threadIdx.x; m < neighbours; m += blockDim.x)
    offsets[m] = steps[3 * m] * crop[SLAB] + steps[3 * m + 1] * crop[ROW] + steps[3 * m + 2];
}

// The first pixel of a zone, when all are joined.
__device__ uint32 root_of(const uint32* parents, uint32 pixel) {
  while (parents[pixel] != pixel) pixel = parents[pixel];
  return pixel;
}

// The same while other threads join zones: an atomic operation that changes nothing reads.
__device__ uint32 root_by_now(uint32* parents, uint32 pixel) {
  for (uint32 parent; (parent = atomicOr(&parents[pixel], 0u)) != pixel;) pixel = parent;
  return pixel;
}

__device__ void join(uint32* parents, uint32 one, uint32 other) {
  one = root_by_now(parents, one);
  other = root_by_now(parents, other);
  while (one != other) {
    const uint32 low = min(one, other), high = max(one, other);
    const uint32 before = atomicMin(&parents[high], low);
    if (before == high) return;
    one = low;  // high had another parent by now: that one joins, too
    other = root_by_now(parents, before);
  }
}

// Joins the pixels of each zone: `root_of` then gives its first one, for levels > 0.
__device__ void join_zones(const uint16* __restrict__ levels, int size, const int64* offsets,
                           const uint16* __restrict__ rest, int neighbours, uint32* parents) {
  for (int pixel = threadIdx.x; pixel < size; pixel += blockDim.x) parents[pixel] = pixel;
  __syncthreads();
  for (int pixel = threadIdx.x; pixel < size; pixel += blockDim.x) {
    const int level = levels[pixel];
    if (level == 0) continue;
    uint32 code = 0;
    for (int m = 0; m < neighbours; m++)
      code |= (uint32)(levels[pixel - offsets[m]] == level) << m;
    while (code) {
      const int m = __ffs(code) - 1;
      code &= rest[m];
      join(parents, pixel, (uint32)(pixel - offsets[m]));
    }
  }
  __syncthreads();
}

// The neighbourhood of a pixel, for the kernels that compare it with all of its neighbours; the
// twin of _neighbours.py. By a block of 256 threads, a pixel each.
#pragma once
#include "_information.cuh"

enum : int { FURTHEST = 4, TILE = (256 + 2 * FURTHEST + 2) / 2 };

struct Neighbourhood {
  const uint16* levels;
  int64 words;  // pairs of levels
  int row;
  int64 slab;
  int distance;
  bool plane;  // neighbours in the same slice only
};

struct Piece {  // of a region: one of its slices, or all
  int64 first;
  int size;
};

__device__ __forceinline__ Piece piece(const int64* crop, int number, bool sliced) {
  if (sliced) return {crop[START] + number * crop[SLAB], (int)crop[SLAB]};
  return {crop[START], (int)(crop[DEPTH] * crop[SLAB])};
}

// visit(level) of the pixel at + threadIdx.x and of all its neighbours, 0 outside. Rows come
// through shared memory, two levels a word, the next one while the last is read.
template <typename Visit>
__device__ __forceinline__ void around(const Neighbourhood& near, int64 at, uint32 (*tiles)[TILE],
                                       Visit visit) {
  const int side = 2 * near.distance + 1, deep = near.plane ? 0 : near.distance;
  const uint32* levels = reinterpret_cast<const uint32*>(near.levels);
#pragma unroll 1
  for (int k = 0; k < (2 * deep + 1) * side; k++) {
    const int z = k / side - deep, y = k % side - near.distance;
    const int64 first = at + z * near.slab + y * near.row - near.distance;
    const int odd = first & 1;
    uint32* tile = tiles[k % 2];
    if (2 * threadIdx.x < odd + blockDim.x + 2 * near.distance) {
      const int64 word = first / 2 + threadIdx.x;
      tile[threadIdx.x] = word < near.words ? levels[word] : 0;
    }
    __syncthreads();
    const uint16* middle = reinterpret_cast<const uint16*>(tile) + odd + threadIdx.x;
#pragma unroll 1
    for (int x = 0; x < side; x++) visit((int)middle[x]);
  }
}

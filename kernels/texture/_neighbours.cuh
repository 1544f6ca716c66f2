// The neighbourhood of a pixel, for the kernels that compare it with all of its neighbours; the
// twin of _neighbours.py.
#pragma once
#include "_information.cuh"

struct Piece {  // of a region: one of its slices, or all
  int64 first;
  int size;
};

__device__ __forceinline__ Piece piece(const int64* crop, int number, bool sliced) {
  if (sliced) return {crop[START] + number * crop[SLAB], (int)crop[SLAB]};
  return {crop[START], (int)(crop[DEPTH] * crop[SLAB])};
}

// visit(level) of the pixel at `here` and of all its neighbours, 0 outside.
template <typename Visit>
__device__ __forceinline__ void around(const uint16* here, int row, int64 slab, int distance,
                                       bool plane, Visit visit) {
  const int deep = plane ? 0 : distance;
#pragma unroll 1
  for (int z = -deep; z <= deep; z++) {
#pragma unroll 1
    for (int y = -distance; y <= distance; y++) {
      const uint16* middle = here + (z * slab + y * row);
#pragma unroll 1
      for (int x = -distance; x <= distance; x++) visit((int)middle[x]);
    }
  }
}

// What lies outside an image. BORDERS: 0 mirrors it, 1 repeats the nearest pixel, 2 goes on at the
// other end, 3 is zero.
#pragma once
#include "_cuda.cuh"

// The index that stands for i on an axis of n pixels; -1 where there is none.
__device__ __forceinline__ int place(int i, int n) {
  if (BORDERS == 0) return reflect_index(i, n);
  if (BORDERS == 1) return clamp_index(i, n);
  if (BORDERS == 3) return 0 <= i && i < n ? i : -1;
  i %= n;
  return i < 0 ? i + n : i;
}

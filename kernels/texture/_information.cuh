// Entropies of counts and what else the texture kernels share; the twin of _information.py.
#pragma once
#include "_cuda.cuh"

using int64 = long long;

// Columns of a table of crops: see _levels.py.
enum : int { START, DEPTH, HEIGHT, WIDTH, ROW, SLAB, TOP, VOXELS, CROP_COLUMNS };

__device__ double log2_of(double count) {
  double exponent = 0.0;
  while (count > 1.4142135623730951) {
    count *= 0.5;
    exponent += 1.0;
  }
  const double z = (count - 1.0) / (count + 1.0), square = z * z;
  double series = 0.0;
#pragma unroll 1
  for (int k = 10; k >= 0; k--) series = series * square + 1.0 / (2.0 * k + 1.0);
  return exponent + 2.8853900817779268 * z * series;
}

__device__ double exp_minus(double t) {
  double halvings = floor(t * 1.4426950408889634 + 0.5);
  const double rest = halvings * 0.6931471805599453 - t;
  double series = 1.0;
#pragma unroll 1
  for (int k = 14; k > 0; k--) series = 1.0 + series * rest / k;
  for (; halvings > 0.0; halvings -= 1.0) series *= 0.5;
  return series;
}

// The unit of information for counts that add up to `total`: 2^57 / N', N' >= total a power of two.
__device__ double unit_of(int64 total) {
  double whole = 1.0, unit = 144115188075855872.0;
  for (; whole < total; whole *= 2.0) unit *= 0.5;
  return unit;
}

__device__ __forceinline__ int64 information(uint32 count, double unit) {
  return count ? (int64)(count * log2_of(count) * unit) : 0;
}

// Entropy in bits of counts that add up to `total` and whose information is `bits`.
__device__ double entropy(int64 bits, int64 total, double unit) {
  return (information((uint32)total, unit) - bits) / (unit * total);
}

// Information of n counts; every thread gets the sum.
__device__ int64 information_of(const uint32* counts, int n, double unit, int64* scratch) {
  int64 bits = 0;
  for (int k = threadIdx.x; k < n; k += blockDim.x) bits += information(counts[k], unit);
  return block_reduce(bits, scratch, Sum());
}

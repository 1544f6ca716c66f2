// Shared by the .cu files: borders, ceiling division, warp and block reductions in a fixed order,
// the compare-exchange of sorting networks, and the monotone map of float32 to uint32.
// Needs no other header, so that NVRTC compiles a kernel in a tenth of a second.
#pragma once

enum : unsigned { FULL_WARP = 0xffffffffu };  // enums: a constexpr would take device memory
enum : int { WARP = 32 };

using uint8 = unsigned char;
using uint16 = unsigned short;
using uint32 = unsigned int;
using uint64 = unsigned long long;

template <typename T> __host__ __device__ constexpr T ceil_div(T a, T b) { return (a + b - 1) / b; }

// ---- borders: the index that stands for i on an axis of n samples

// a a a | a b c d | d d d
__device__ __forceinline__ int clamp_index(int i, int n) { return min(max(i, 0), n - 1); }

// c b a | a b c d | d c b   (period 2n: right for any i, also where the window exceeds the image)
__device__ __forceinline__ int reflect_index(int i, int n) {
  if (i >= -n && i < 2 * n) return i < 0 ? -1 - i : i < n ? i : 2 * n - 1 - i;
  i %= 2 * n;
  if (i < 0) i += 2 * n;
  return i < n ? i : 2 * n - 1 - i;
}

// ---- sorting networks

// a <- min(a, b), b <- max(a, b)
template <typename T> __device__ __forceinline__ void sort_step(T& a, T& b) {
  const T low = min(a, b), high = max(a, b);
  a = low;
  b = high;
}

// ---- float32 as uint32 of the same order: -inf < ... < -0 < +0 < ... < +inf < NaN

__device__ __forceinline__ uint32 float_to_key(float x) {
  const uint32 bits = __float_as_uint(x);
  return bits ^ ((bits & 0x80000000u) ? 0xffffffffu : 0x80000000u);
}
__device__ __forceinline__ float key_to_float(uint32 key) {
  return __uint_as_float(key ^ ((key & 0x80000000u) ? 0x80000000u : 0xffffffffu));
}

// ---- reductions: the same order of operations on every run, every lane gets the result

struct Sum {
  template <typename T> __device__ T operator()(T a, T b) const { return a + b; }
};
struct Min {
  template <typename T> __device__ T operator()(T a, T b) const { return min(a, b); }
};
struct Max {
  template <typename T> __device__ T operator()(T a, T b) const { return max(a, b); }
};

// All 32 lanes take part.
template <typename T, typename Op> __device__ __forceinline__ T warp_reduce(T value, Op op) {
#pragma unroll
  for (int step = WARP / 2; step > 0; step /= 2)
    value = op(value, __shfl_xor_sync(FULL_WARP, value, step));
  return value;
}

// Inclusive prefix sum over the 32 lanes.
template <typename T> __device__ __forceinline__ T warp_scan(T value) {
  const int lane = threadIdx.x % WARP;
#pragma unroll
  for (int step = 1; step < WARP; step *= 2) {
    const T before = __shfl_up_sync(FULL_WARP, value, step);
    if (lane >= step) value += before;
  }
  return value;
}

// All threads of a one-dimensional block of a multiple of 32 threads take part.
// `scratch` is shared memory for one T a warp; it may be used again at once.
template <typename T, typename Op> __device__ T block_reduce(T value, T* scratch, Op op) {
  const int warps = blockDim.x / WARP;
  value = warp_reduce(value, op);
  if (threadIdx.x % WARP == 0) scratch[threadIdx.x / WARP] = value;
  __syncthreads();
  value = scratch[0];
  for (int warp = 1; warp < warps; ++warp) value = op(value, scratch[warp]);
  __syncthreads();
  return value;
}

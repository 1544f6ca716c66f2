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

// ---- float32 arithmetic that gives the bits of kernels/_pixels.py

// e^x, relative error below 2e-7; below -87 it stays at e^-87
__device__ __forceinline__ float exp32(float x) {
  const float ROUND = 12582912.0f;  // 1.5 * 2^23: adding it leaves the whole part in the last bits
  if (x == x) x = fminf(fmaxf(x, -87.0f), 88.0f);
  const float shifted = x * 1.44269504f + ROUND;
  const float n = shifted - ROUND;
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = (p * (r * r) + r) + 1.0f;
  return p * __int_as_float((__float_as_int(shifted) + (127 - 0x4B400000)) << 23);
}

// A pixel of the image for a float32 value: integers to the nearest (ties to even), ends of the
// range where it is outside.
__device__ __forceinline__ float whole(float value, float low, float high) {
  const float ROUND = 12582912.0f;
  return (fminf(fmaxf(value, low), high) + ROUND) - ROUND;
}
__device__ __forceinline__ void set_pixel(uint8& pixel, float value) {
  pixel = (uint8)(int)whole(value, 0.0f, 255.0f);
}
__device__ __forceinline__ void set_pixel(uint16& pixel, float value) {
  pixel = (uint16)(int)whole(value, 0.0f, 65535.0f);
}
__device__ __forceinline__ void set_pixel(short& pixel, float value) {
  pixel = (short)(int)whole(value, -32768.0f, 32767.0f);
}
__device__ __forceinline__ void set_pixel(float& pixel, float value) { pixel = value; }

// tile[j][i] = image[y + j][x + i] as float32, outside the image its nearest pixel; by all threads
// of a one-dimensional block. The caller synchronises.
template <int rows, int columns, typename Pixel>
__device__ __forceinline__ void load_tile(float (*tile)[columns], const Pixel* image, int y, int x,
                                          int h, int w) {
  for (int k = threadIdx.x; k < rows * columns; k += blockDim.x) {
    const int j = k / columns, i = k % columns;
    tile[j][i] = (float)image[(uint64)clamp_index(y + j, h) * w + clamp_index(x + i, w)];
  }
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

// Small kernels whose results NumPy predicts: each makes the compiler emit one family of opcodes.
#include "_cuda.cuh"

#define INDEX const int i = blockIdx.x * blockDim.x + threadIdx.x

#ifndef INTEGER
#define INTEGER int
#endif
#ifndef REAL
#define REAL float
#endif
#ifndef FROM
#define FROM float
#define TO int
#endif
#ifndef PAD
#define PAD 1
#endif

// results in rows of n
extern "C" __global__ void integers(const INTEGER* a, const INTEGER* b, INTEGER* out, int n) {
  INDEX;
  if (i >= n) return;
  const INTEGER x = a[i], y = b[i];
  INTEGER* o = out + i;
  *o = x + y, o += n;
  *o = x - y, o += n;
  *o = x * y, o += n;
  *o = y == 0 ? 0 : x / y, o += n;
  *o = y == 0 ? 0 : x % y, o += n;
  *o = min(x, y), o += n;
  *o = max(x, y), o += n;
  *o = (x & y) ^ (x | ~y), o += n;
  *o = x << (y & 7), o += n;
  *o = x >> (y & 7), o += n;
  *o = x < y ? x : y + 1, o += n;
}

extern "C" __global__ void bits(const unsigned* a, const unsigned* b, unsigned* out, int n) {
  INDEX;
  if (i >= n) return;
  const unsigned x = a[i], y = b[i];
  unsigned* o = out + i;
  *o = __popc(x), o += n;
  *o = __clz(x), o += n;
  *o = __ffs(x), o += n;
  *o = __brev(x), o += n;
  *o = __byte_perm(x, y, 0x7531), o += n;
  unsigned field;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(field) : "r"(x), "r"(y), "r"(y));
  *o = field, o += n;
  *o = __funnelshift_l(x, y, y), o += n;
  *o = __funnelshift_rc(x, y, y & 63), o += n;
  *o = (x & y) | (~x & 0x0f0f0f0f), o += n;
  *o = __umulhi(x, y), o += n;
  *o = __mulhi((int)x, (int)y), o += n;
  *o = __umul64hi(((uint64)x << 32) | y, ((uint64)y << 32) | x) >> 7, o += n;
  *o = (unsigned)__mul64hi(((long long)x << 32) | y, ((long long)y << 32) | x), o += n;
  *o = __usad(x, y, 3u), o += n;
  *o = __dp4a(x, y, 5u), o += n;
  asm("bfe.u32 %0, %1, %2, %3;" : "=r"(field) : "r"(x), "r"(y & 31), "r"(y >> 8 & 31));
  *o = field, o += n;
  asm("bfe.s32 %0, %1, %2, %3;" : "=r"(field) : "r"(x), "r"(y & 31), "r"(y >> 8 & 31));
  *o = field, o += n;
  asm("bfi.b32 %0, %1, %2, %3, %4;"
      : "=r"(field) : "r"(x), "r"(y), "r"(y & 31), "r"(y >> 8 & 31));
  *o = field, o += n;
  asm("{ .reg .b16 low, high; mov.b32 {low, high}, %1; mov.b32 %0, {high, low}; }"
      : "=r"(field) : "r"(x));
  *o = field, o += n;
  *o = __vminu2(x, y), o += n;
  *o = __vmaxs2(x, y), o += n;
}

extern "C" __global__ void floats(const REAL* a, const REAL* b, const REAL* c, REAL* out, int n) {
  INDEX;
  if (i >= n) return;
  const REAL x = a[i], y = b[i], z = c[i];
  REAL* o = out + i;
  *o = x + y, o += n;
  *o = x - y, o += n;
  *o = x * y, o += n;
  *o = x / y, o += n;
  *o = fma(x, y, z), o += n;
  *o = fmin(x, y), o += n;
  *o = fmax(x, y), o += n;
  *o = sqrt(x), o += n;
  *o = REAL(1) / x, o += n;
  *o = fabs(x), o += n;
  *o = x < y ? -x : y, o += n;
  *o = x != x ? REAL(7) : !(x <= y) ? REAL(1) : REAL(0), o += n;
}

extern "C" __global__ void functions(const float* a, float* out, int n) {
  INDEX;
  if (i >= n) return;
  const float x = a[i];
  float* o = out + i;
  *o = expf(-x), o += n;
  *o = logf(x), o += n;
  *o = log2f(x), o += n;
  *o = sinf(x), o += n;
  *o = cosf(1e5f * x), o += n;
  *o = powf(x, 1.7f), o += n;
  *o = tanhf(0.1f * x), o += n;
  *o = erff(0.05f * x), o += n;
  *o = atan2f(x, 3.f), o += n;
  *o = rsqrtf(x), o += n;
  *o = cbrtf(x), o += n;
  *o = (float)exp(-(double)x), o += n;
  *o = __expf(-x), o += n;
  *o = rintf(x) + floorf(x) + ceilf(x) + truncf(x), o += n;
}

extern "C" __global__ void convert(const FROM* a, TO* out, int n) {
  INDEX;
  if (i < n) out[i] = (TO)a[i];
}

extern "C" __global__ void rounded(const float* a, int* out, float* back, int n) {
  INDEX;
  if (i >= n) return;
  const float x = a[i];
  out[i] = __float2int_rn(x);
  out[i + n] = __float2int_rd(x);
  out[i + 2 * n] = __float2int_ru(x);
  out[i + 3 * n] = __float2int_rz(x);
  unsigned short pixel;
  asm("cvt.rni.sat.u8.f32 %0, %1;" : "=h"(pixel) : "f"(x));
  out[i + 4 * n] = pixel;
  back[i] = __double2float_rd(1.0 / x);
  back[i + n] = __double2float_ru(1.0 / x);
  back[i + 2 * n] = __int2float_rz(__float_as_int(x));
  back[i + 3 * n] = __saturatef(x);
  back[i + 4 * n] = key_to_float(float_to_key(x));
}

extern "C" __global__ void warps(const int* a, int* out, int n) {
  INDEX;
  const int x = a[i], lane = threadIdx.x % WARP;
  int* o = out + i;
  *o = __shfl_up_sync(FULL_WARP, x, 3), o += n;
  *o = __shfl_down_sync(FULL_WARP, x, 3, 8), o += n;
  *o = __shfl_xor_sync(FULL_WARP, x, 5), o += n;
  *o = __shfl_sync(FULL_WARP, x, x & 31), o += n;
  *o = __ballot_sync(FULL_WARP, x & 1), o += n;
  *o = __all_sync(FULL_WARP, x >= 0) + 2 * __any_sync(FULL_WARP, x == 7), o += n;
  *o = __reduce_add_sync(FULL_WARP, x), o += n;
  *o = __reduce_min_sync(FULL_WARP, x), o += n;
  *o = __match_any_sync(FULL_WARP, x & 3), o += n;
  *o = warp_scan(x), o += n;
  *o = warp_reduce(x, Max()), o += n;
  *o = __syncthreads_count(x & 1), o += n;
  *o = lane < 16 ? __shfl_xor_sync(0xffffu, x, 1) : -1, o += n;
}

extern "C" __global__ void atomics(const unsigned* a, unsigned* counts, unsigned* order,
                                   unsigned* swapped, int* extremes, float* sum, uint64* total,
                                   int n) {
  __shared__ unsigned histogram[16];
  if (threadIdx.x < 16) histogram[threadIdx.x] = 0;
  __syncthreads();
  INDEX;
  if (i < n) {
    order[i] = atomicAdd(&counts[16], 1u);
    atomicAdd(&histogram[a[i] % 16], 1u);
    atomicCAS(&swapped[a[i] % 16], 0u, a[i]);
    atomicMin(&extremes[0], (int)a[i] - 500);
    atomicMax(&extremes[1], (int)a[i] - 500);
    atomicAdd(sum, 0.25f);
    atomicAdd(total, (uint64)a[i] << 20);
    atomicExch(&swapped[16], 9u);
    atomicInc(&swapped[17], 6u);
    atomicOr(&swapped[18], 1u << a[i] % 32);
  }
  __syncthreads();
  if (threadIdx.x < 16) atomicAdd(&counts[threadIdx.x], histogram[threadIdx.x]);
}

extern "C" __global__ void vectors(const float4* a, const uchar4* b, float2* out, int n) {
  INDEX;
  if (i >= n) return;
  const float4 v = a[i];
  const uchar4 u = b[i];
  out[i] = make_float2(v.x * u.x + v.y * u.y, v.z * u.z + v.w * u.w);
}

__constant__ int primes[8] = {2, 3, 5, 7, 11, 13, 17, 19};

__device__ __noinline__ int collatz(int x, int* steps) {
  while (x != 1) {
    x = x & 1 ? 3 * x + 1 : x / 2;
    ++*steps;
  }
  return *steps + 1;
}

// local arrays, constant memory, a device function that is called, a loop that diverges
extern "C" __global__ void locals(const int* a, int* out, int n) {
  INDEX;
  if (i >= n) return;
  int window[16];
  for (int j = 0; j < 16; ++j) window[j] = a[(i + j) % n];
  int steps = 0;
  out[i] = window[a[i] & 15] * primes[a[i] & 7];
  out[i + n] = collatz(a[i], &steps);
  out[i + 2 * n] = steps;
}

extern "C" __global__ void switches(const int* a, int* out, int n) {
  INDEX;
  if (i >= n) return;
  int x = a[i];
  switch (x & 15) {
    case 0: x = x * 3; break;
    case 1: x = x ^ 77; break;
    case 2: x = x - 5; break;
    case 3: out[(i + 1) % n + n] = x; break;
    case 4: x = x / 3; break;
    case 5: x = -x; break;
    case 6: x = x % 7; break;
    case 7: x = x << 2; break;
    case 8: x = __popc(x); break;
    default: x = 1000; break;
  }
  out[i] = x;
}

extern "C" __global__ void borders(const int* a, int* reflected, int* clamped, int size, int n) {
  INDEX;
  if (i >= n) return;
  reflected[i] = reflect_index(a[i], size);
  clamped[i] = clamp_index(a[i], size);
}

// reads its tile from dynamic shared memory, filled by asynchronous copies of 16 bytes
extern "C" __global__ void asynchronous(const float4* a, float* out) {
  extern __shared__ float4 tile[];
  const unsigned to = (unsigned)__cvta_generic_to_shared(&tile[threadIdx.x]);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(a + threadIdx.x));
  asm volatile("cp.async.commit_group;");
  asm volatile("cp.async.wait_group 0;");
  __syncthreads();
  const float* flat = (const float*)tile;
  for (int k = 0; k < 4; ++k) {
    const int at = threadIdx.x + k * blockDim.x;
    out[at] = flat[4 * blockDim.x - 1 - at];
  }
}

extern "C" __global__ void transposed(const float* a, float* out, int size) {
  __shared__ float tile[32][32 + PAD];
  const int x = threadIdx.x, y = threadIdx.y;
  for (int j = 0; j < 32; j += 8)
    tile[y + j][x] = a[(blockIdx.y * 32 + y + j) * size + blockIdx.x * 32 + x];
  __syncthreads();
  for (int j = 0; j < 32; j += 8)
    out[(blockIdx.x * 32 + y + j) * size + blockIdx.y * 32 + x] = tile[x][y + j];
}

extern "C" __global__ void coordinates(int* out) {
  const int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const int volume = blockDim.x * blockDim.y * blockDim.z;
  int* o = out + 4 * (block * volume + thread);
  o[0] = threadIdx.x + 100 * threadIdx.y + 10000 * threadIdx.z;
  o[1] = blockIdx.x + 100 * blockIdx.y + 10000 * blockIdx.z;
  o[2] = blockDim.x + 100 * blockDim.y + 10000 * blockDim.z;
  o[3] = gridDim.x + 100 * gridDim.y + 10000 * gridDim.z;
}


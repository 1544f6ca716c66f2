// Correct kernels, each with the mistakes that GPU programmers make, switched on by macros.
#include "_cuda.cuh"

#ifdef NO_BARRIER
#define BARRIER()
#else
#define BARRIER() __syncthreads()
#endif
#ifdef NO_SECOND_BARRIER
#define SECOND_BARRIER()
#else
#define SECOND_BARRIER() __syncthreads()
#endif
#ifndef SHIFT
#define SHIFT 0
#endif
#ifndef HALO
#define HALO R
#endif

constexpr int R = 2, X = 32, Y = 8;

// mean of 5x5 pixels, through a shared tile with a halo
extern "C" __global__ void __launch_bounds__(256)
    mean(const float* __restrict__ in, float* __restrict__ out, int h, int w) {
  __shared__ float tile[Y + 2 * R][X + 2 * HALO];
  for (int y = threadIdx.y; y < Y + 2 * R; y += Y)
    for (int x = threadIdx.x; x < X + 2 * R; x += X) {
      int gy = blockIdx.y * Y + y - R, gx = blockIdx.x * X + x - R;
#ifndef NO_CLAMP
      gy = clamp_index(gy, h), gx = clamp_index(gx, w);
#endif
      tile[y][x] = in[gy * w + gx];
    }
  BARRIER();
  const int x = blockIdx.x * X + threadIdx.x, y = blockIdx.y * Y + threadIdx.y;
#ifndef NO_BOUNDS
  if (x >= w || y >= h) return;
#endif
  float sum = 0;
  for (int dy = 0; dy <= 2 * R; ++dy)
    for (int dx = 0; dx <= 2 * R; ++dx) sum += tile[threadIdx.y + dy][threadIdx.x + dx];
  out[y * w + x] = sum / 25;
}

// counts of 64 values: shared atomics, then global ones
extern "C" __global__ void histogram(const uint8* in, unsigned* out, int n) {
  __shared__ unsigned counts[64];
#ifndef NO_CLEAR
  for (int i = threadIdx.x; i < 64; i += blockDim.x) counts[i] = 0;
#endif
  BARRIER();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
#ifdef NO_ATOMIC
    counts[in[i] % 64] += 1;
#else
    atomicAdd(&counts[in[i] % 64], 1u);
#endif
  SECOND_BARRIER();
  for (int i = threadIdx.x; i < 64; i += blockDim.x) atomicAdd(&out[i], counts[i]);
}

// sum of n numbers in fours: float4 loads, shuffles, one value a warp in shared memory
extern "C" __global__ void total(const float4* in, float* out, int n4) {
  __shared__ float warps[32];
  float sum = 0;
#ifdef ONE_TOO_MANY
  ++n4;
#endif
  for (int i = threadIdx.x; i < n4; i += blockDim.x) {
    const float4 v = in[i];
    sum += v.x + v.y + v.z + v.w;
  }
  sum = warp_reduce(sum, Sum());
  if (threadIdx.x % WARP == 0) warps[threadIdx.x / WARP] = sum;
  BARRIER();
  if (threadIdx.x != 0) return;
  for (int i = 1; i < blockDim.x / WARP; ++i) sum += warps[i];
  *out = sum;
}

// each row of a byte image reversed, in shared bytes: neighbours share a word
extern "C" __global__ void reversed(const uint8* in, uint8* out, int w) {
  extern __shared__ uint8 row[];
  for (int x = threadIdx.x; x < w; x += blockDim.x) row[x] = in[blockIdx.x * w + x];
  BARRIER();
  for (int x = threadIdx.x; x < w; x += blockDim.x) out[blockIdx.x * w + x] = row[w - 1 - x];
}

// each pixel plus its right neighbour; right in place only if no other thread reads what it wrote
extern "C" __global__ void neighbour_sum(const float* in, float* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = in[i] + in[min(i + 1, n - 1)];
}

// the blocks' sums are added by the last block to come, behind a fence
extern "C" __global__ void last_block(const float* in, float* partial, unsigned* done, float* out) {
  __shared__ float scratch[2];
  __shared__ bool last;
  const float sum = block_reduce(in[blockIdx.x * blockDim.x + threadIdx.x], scratch, Sum());
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = sum;
    __threadfence();
    last = atomicAdd(done, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last || threadIdx.x != 0) return;
  float total = 0;
  for (int i = 0; i < gridDim.x; ++i) total += ((volatile float*)partial)[i];
  *out = total;
}

// pieces: n = 64 threads, one block; out[t] is zero at the start
#define THREAD const int t = threadIdx.x

extern "C" __global__ void barrier_in_both_branches(float* out) {
  __shared__ float s[64];
  THREAD;
  s[t] = t;
  if (out[t] == 0.f && t < 40) {
    __syncthreads();
    out[t] = s[63 - t];
  } else {
    out[t] = s[t] + 1;
    __syncthreads();
  }
  out[t] += 1;
}

extern "C" __global__ void barrier_for_the_living(float* out) {
  __shared__ float s[64];
  THREAD;
  s[t] = t;
  if (t >= 40) return;
  __syncthreads();
  out[t] = s[39 - t];
}

extern "C" __global__ void shuffle_in_a_branch(float* out) {
  THREAD;
  float v = t;
  if (t & 1) v += __shfl_down_sync(FULL_WARP, v, 2);
  out[t] = v;
}

extern "C" __global__ void shuffle_with_a_partial_mask(float* out) {
  THREAD;
  float v = t;
  if (t & 1) v += __shfl_xor_sync(0xaaaaaaaau, v, 2);
  out[t] = v;
}

extern "C" __global__ void shuffle_from_an_absent_lane(float* out) {
  THREAD;
  float v = t;
  if (t & 1) v += __shfl_xor_sync(0xaaaaaaaau, v, 1);
  out[t] = v;
}

extern "C" __global__ void shuffle_outside_its_mask(float* out) {
  THREAD;
  out[t] = __shfl_xor_sync(0xffffu, (float)t, 2);
}

extern "C" __global__ void neighbours_of_a_warp(float* out) {
  __shared__ float s[64];
  THREAD;
  s[t] = t;
#ifdef SYNCWARP
  __syncwarp();
#endif
  out[t] = s[t ^ 1];
}

extern "C" __global__ void neighbours_over_a_shuffle(float* out) {
  __shared__ float s[64];
  THREAD;
  s[t] = t;
  const float v = __shfl_xor_sync(FULL_WARP, (float)t, 1);
  out[t] = s[t ^ 1] + v;
}

extern "C" __global__ void syncwarp_for_two_warps(float* out) {
  __shared__ float s[64];
  THREAD;
  s[t] = t;
  __syncwarp();
  out[t] = s[63 - t];
}

extern "C" __global__ void write_after_read(float* out) {
  __shared__ float s[64];
  THREAD;
  s[t] = t;
  __syncthreads();
  const float v = s[63 - t];
#ifdef BARRIER_BETWEEN
  __syncthreads();
#endif
  s[t] = v + 1;
  __syncthreads();
  out[t] = s[t];
}

extern "C" __global__ void everybody_writes(float* out) {
  __shared__ float s;
  THREAD;
#ifdef THE_SAME
  s = 3;
#else
  s = t;
#endif
  __syncthreads();
  out[t] = s;
}

extern "C" __global__ void one_pixel_for_all(float* out) { out[threadIdx.x / 2] = threadIdx.x; }

extern "C" __global__ void block_number(float* out, int step) {
  if (blockIdx.x % step == 0) out[threadIdx.x] = 1 + blockIdx.x;
}

extern "C" __global__ void global_neighbours(float* out) {
  THREAD;
  out[t] = t;
#ifdef BARRIER_BETWEEN
  __syncthreads();
#endif
  const float v = out[63 - t];
  __syncthreads();
  out[t] = v;
}

extern "C" __global__ void misaligned_store(float* out) {
  *(float4*)(out + 1 + 4 * (threadIdx.x & 3)) = make_float4(1, 2, 3, 4);
}

extern "C" __global__ void aligned_store(float* out) {
  *(float4*)(out + 4 * (threadIdx.x & 3)) = make_float4(1, 2, 3, 4);
}

extern "C" __global__ void local_overrun(float* out) {
  float own[8];
  THREAD;
  for (int i = 0; i < 8; ++i) own[i] = i + t;
  out[t] = own[(t & 7) + SHIFT];
}

extern "C" __global__ void null_pointer(float* out, const float* weights) {
  out[threadIdx.x] = weights[threadIdx.x];
}

extern "C" __global__ void traps(float* out) {
  if (out[threadIdx.x] == 0.f && threadIdx.x == 5) __trap();
}

extern "C" __global__ void endless(float* out) {
  while (*(volatile float*)out == 0.f) {
  }
}

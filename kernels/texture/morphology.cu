// What morphology.py counts of every region: cubes of the surface mesh, moments, ends of rows, and
// the intensities of its box. Integers only, so that the values are those of the CPU.
// One block of 256 threads a region, a warp a row; blocks go on with region + gridDim.x.
// LABEL is the labels' type, or that of the images if BOXES = 1: regions are whole boxes. The
// label 0 stands for any other than 0.
#include "_information.cuh"

enum : int { MOMENTS = 10, CUBES = WARP - 1 };  // cubes that a warp takes from 32 columns

struct Box {
  const LABEL* labels;
  int64 label;
  uint64 corner;  // number of the box's first voxel in the batch
  int d, h, w;    // of the box
  int height, width;  // of the images

  __device__ __forceinline__ uint64 at(int z, int y, int x) const {
    return corner + ((uint64)z * height + y) * width + x;
  }
  __device__ __forceinline__ bool inside(int z, int y, int x) const {
    if (z < 0 || y < 0 || x < 0 || z >= d || y >= h || x >= w) return false;
#if BOXES
    return true;
#else
    const LABEL found = labels[at(z, y, x)];
    return label == 0 ? found != 0 : found == label;
#endif
  }
};

__device__ __forceinline__ void add_moments(int64* sums, int64 z, int64 y, int64 x) {
  sums[0] += 1;
  sums[1] += z;
  sums[2] += y;
  sums[3] += x;
  sums[4] += z * z;
  sums[5] += y * y;
  sums[6] += x * x;
  sums[7] += z * y;
  sums[8] += z * x;
  sums[9] += y * x;
}

extern "C" __global__ void __launch_bounds__(256)
count(const PIXEL* __restrict__ images, const LABEL* __restrict__ labels,
      const int64* __restrict__ table, const int64* __restrict__ starts,
      uint32* __restrict__ cubes, int64* __restrict__ moments, int* __restrict__ ends,
      float* __restrict__ grey, int regions, int d, int h, int w, int rows) {
  __shared__ uint32 histogram[256];
  __shared__ int64 scratch[8];
  const int lane = threadIdx.x % WARP;
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const int64* line = table + region * 8;
    const uint64 corner = ((line[0] * d + line[2]) * h + line[4]) * w + line[6];
    const Box box = {labels, line[1], corner, (int)(line[3] - line[2]), (int)(line[5] - line[4]),
                     (int)(line[7] - line[6]), h, w};
    int* ends_of = ends + starts[2 * region];
    float* grey_of = grey + starts[2 * region + 1];
    histogram[threadIdx.x] = 0;
    __syncthreads();

    uint32 whole = 0;  // cubes inside: most, so that they are kept out of the histogram
    int64 sums[MOMENTS] = {};
    for (int row = threadIdx.x / WARP; row < (box.d + 1) * (box.h + 1); row += blockDim.x / WARP) {
      const int z = row / (box.h + 1) - 1, y = row % (box.h + 1) - 1;
      int first = box.w, last = -1;
      for (int left = -1; left < box.w; left += CUBES) {
        const int x = left + lane;
        uint32 column = 0;
#pragma unroll
        for (int k = 0; k < 4; k++)
          column |= (uint32)box.inside(z + k / 2, y + k % 2, x) << 2 * k;
        const uint32 cube = column | __shfl_down_sync(FULL_WARP, column, 1) << 1;
        if (lane == CUBES || x >= box.w) continue;
        if (cube == 255) whole++;
        if (cube != 0 && cube != 255) atomicAdd(&histogram[cube], 1u);
        if (z < 0 || y < 0 || x < 0) continue;
        const bool within = column & 1;
        const float v = within ? (float)images[box.at(z, y, x)] : 0.0f;
        const bool finite = within && v - v == 0.0f;
        grey_of[((uint64)z * box.h + y) * box.w + x] = finite ? v : __int_as_float(0x7fc00000);
        if (within) {
          add_moments(sums, z, y, x);
          first = min(first, x);
          last = max(last, x);
        }
      }
      first = warp_reduce(first, Min());
      last = warp_reduce(last, Max());
      if (lane == 0 && z >= 0 && y >= 0) {
        ends_of[z * box.h + y] = first;
        ends_of[rows + z * box.h + y] = last;
      }
    }

    __syncthreads();
    cubes[region * 256ull + threadIdx.x] = histogram[threadIdx.x];
#pragma unroll
    for (int k = 0; k < MOMENTS; k++) {
      const int64 sum = block_reduce(sums[k], scratch, Sum());
      if (threadIdx.x == 0) moments[region * (uint64)MOMENTS + k] = sum;
    }
    const int64 all = block_reduce((int64)whole, scratch, Sum());
    if (threadIdx.x == 0) cubes[region * 256ull + 255] = all;
    __syncthreads();
  }
}

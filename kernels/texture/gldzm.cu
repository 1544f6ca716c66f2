// Distance zones and the 16 features of _emphasis.py, of grey levels 1..Ng, 0 outside; above Ng are
// pixels of the region that belong to no zone.
// One block of 256 threads a region; blocks go on with region + gridDim.x.
//
// parents, distances: global scratch, a cell for each of `levels`. The table of `most_rows`
// distances lies in shared memory (IN_SHARED = 1) or in global scratch. MOST: levels. All counts are
// made with integer atomics; the features are those of the CPU, bit for bit.
#include "_zones.cuh"

// Steps to the outside along one axis, there and back again: a line of `length` pixels a thread.
// Lines start `line` cells apart, and so do groups of `lines` of them, by `group`.
__device__ void sweep(uint32* distances, int length, int64 step, int lines, int64 line, int groups,
                      int64 group) {
  for (int k = threadIdx.x; k < lines * groups; k += blockDim.x) {
    uint32* cells = distances + k / lines * group + k % lines * line;
    uint32 near = 0;
    for (int at = 0; at < length; at++) cells[at * step] = near = min(cells[at * step], near + 1);
    near = 0;
    for (int at = length - 1; at >= 0; at--)
      cells[at * step] = near = min(cells[at * step], near + 1);
  }
  __syncthreads();
}

// City-block distances to the outside are those along the axes, one after the other.
__device__ void measure_distances(const uint16* __restrict__ levels, int size, int depth,
                                  const int64* crop, bool deep, uint32* distances) {
  const int height = crop[HEIGHT], width = crop[WIDTH];
  const int64 row = crop[ROW], slab = crop[SLAB];
  for (int pixel = threadIdx.x; pixel < size; pixel += blockDim.x)
    distances[pixel] = levels[pixel] ? 0x7fffffffu : 0u;
  __syncthreads();
  sweep(distances, width, 1, height, row, depth, slab);
  sweep(distances, height, row, width, 1, depth, slab);
  if (deep) sweep(distances, depth, slab, width, 1, height, row);
}

// Returns the number of pixels, to every thread.
__device__ int64 count_zones(const uint16* __restrict__ levels, int size, const uint32* parents,
                             uint32* distances, uint32* counts, int side, int top, int64* scratch) {
  int64 voxels = 0;
  for (int pixel = threadIdx.x; pixel < size; pixel += blockDim.x) {
    if (levels[pixel] == 0 || levels[pixel] > top) continue;
    voxels++;
    const uint32 root = root_of(parents, pixel);
    if (root != pixel) atomicMin(&distances[root], distances[pixel]);
  }
  voxels = block_reduce(voxels, scratch, Sum());
  for (int pixel = threadIdx.x; pixel < size; pixel += blockDim.x)
    if (levels[pixel] && levels[pixel] <= top && parents[pixel] == pixel)
      atomicAdd(&counts[(int64)distances[pixel] * side + levels[pixel]], 1u);
  return voxels;
}

extern "C" __global__ void __launch_bounds__(256, 2)
measure(const uint16* __restrict__ levels, const int64* __restrict__ crops,
        const int64* __restrict__ steps, const uint16* __restrict__ rest,
        uint32* __restrict__ parents, uint32* __restrict__ distances, uint32* __restrict__ tables,
        float* __restrict__ out, int regions, int most, int most_rows, int neighbours, int deep,
        int sliced) {
#if IN_SHARED
  extern __shared__ uint32 counts[];
#else
  uint32* counts = tables + (size_t)blockIdx.x * (most_rows + 1) * (most + 1 | 1);
#endif
  __shared__ Emphasis margins;
  __shared__ int64 scratch[8], offsets[NEIGHBOURS];
  __shared__ double values[EMPHASES];
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const int64* crop = crops + region * CROP_COLUMNS;
    const int top = crop[TOP], side = top + 1 | 1;
    const int64 slab = crop[SLAB], shortest = min(crop[HEIGHT], crop[WIDTH]);
    const int rows = ((deep ? min(shortest, crop[DEPTH]) : shortest) + 1) / 2;
    const int pieces = sliced ? crop[DEPTH] : 1, size = sliced ? slab : crop[DEPTH] * slab;
    int found = 0;
    if (threadIdx.x < EMPHASES) values[threadIdx.x] = 0.0;
    place(steps, neighbours, crop, offsets);
    for (int piece = 0; piece < pieces; piece++) {
      const int64 first = crop[START] + piece * slab;
      for (int k = threadIdx.x; k < (rows + 1) * side; k += blockDim.x) counts[k] = 0;
      __syncthreads();
      join_zones(levels + first, size, offsets, rest, neighbours, parents + first);
      measure_distances(levels + first, size, sliced ? 1 : (int)crop[DEPTH], crop, deep,
                        distances + first);
      const int64 voxels = count_zones(levels + first, size, parents + first, distances + first,
                                       counts, side, top, scratch);
      __syncthreads();
      summarise(counts, side, top, rows, nullptr, 0, margins, scratch);
      if (margins.total == 0) continue;
      found++;
      if (threadIdx.x == 0) add_features(margins, top, voxels, values);
    }
    __syncthreads();
    if (threadIdx.x < EMPHASES)
      out[(size_t)region * EMPHASES + threadIdx.x] =
          found ? (float)(values[threadIdx.x] / found) : __int_as_float(0x7fc00000);
    __syncthreads();
  }
}

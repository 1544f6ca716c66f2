// Intensities inside regions, gathered row after row: see _values.py.
// One block of 256 threads a region; blocks go on with region + gridDim.x.
// LABEL is the labels' type, or that of the images if BOXES = 1: regions are whole boxes. The label 0
// stands for any other than 0.
#include "_values.cuh"

__device__ __forceinline__ bool inside(LABEL found, int64 label) {
#if BOXES
  return true;
#else
  return label == 0 ? found != 0 : found == label;
#endif
}

extern "C" __global__ void __launch_bounds__(256)
gather(const PIXEL* __restrict__ images, const LABEL* __restrict__ labels,
       const int64* __restrict__ table, int64* __restrict__ spans, float* __restrict__ values,
       int regions, int d, int h, int w, double low, double high) {
  __shared__ uint32 votes[WARPS];
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const int64* box = table + region * 8;
    const int height = box[5] - box[4], width = box[7] - box[6];
    const int pixels = (int)(box[3] - box[2]) * height * width;
    const uint64 corner = ((box[0] * d + box[2]) * h + box[4]) * w + box[6];
    float* span = values + spans[2 * region];

    int found = 0;
    for (int first = 0; first < pixels; first += blockDim.x) {
      const int at = first + threadIdx.x;
      bool keep = false;
      float v = 0.0f;
      if (at < pixels) {
        const int row = at / width;
        const uint64 of = corner + ((uint64)(row / height) * h + row % height) * w + at % width;
        v = (float)images[of] + 0.0f;  // -0 becomes 0
        keep = inside(labels[of], box[1]) && v >= low && v <= high;
      }
      const uint32 kept = __ballot_sync(FULL_WARP, keep);
      if (lane == 0) votes[warp] = __popc(kept);
      __syncthreads();
      int place = found + __popc(kept & ((1u << lane) - 1));
      for (int k = 0; k < WARPS; k++) {
        if (k < warp) place += votes[k];
        found += votes[k];
      }
      if (keep) span[place] = v;
      __syncthreads();
    }
    if (threadIdx.x == 0) spans[2 * region + 1] = found;
  }
}

// The highest mean of a sphere around a pixel of a region, and around its greatest: see local.py.
// One block of 256 threads a region, a thread a pixel; blocks go on with region + gridDim.x.
// LABEL is the labels' type, or that of the images if BOXES = 1: regions are whole boxes. The label 0
// stands for any other than 0. A sphere is summed row by row, a row from its middle outwards: the
// order of the CPU code.
#include "_cuda.cuh"

using int64 = long long;

struct Sum_of_run {
  double sum;
  int number;
};

__device__ __forceinline__ bool inside(LABEL found, int64 label) {
#if BOXES
  return true;
#else
  return label == 0 ? found != 0 : found == label;
#endif
}

__device__ __forceinline__ bool finite(double v) { return fabs(v) <= 3.4028234663852886e38; }

// The pixel, and whether there is a finite one.
__device__ __forceinline__ double pixel(const PIXEL* row, int x, int w, int& known) {
  const double v = x >= 0 && x < w ? (double)row[x] : __int_as_float(0x7fc00000);
  known = finite(v);
  return known ? v : 0.0;
}

__device__ __forceinline__ Sum_of_run sum_run(const PIXEL* row, int x, int half, int w) {
  int number, left, right;
  double sum = pixel(row, x, w, number);
#pragma unroll 1
  for (int k = 1; k <= half; k++) {
    const double before = pixel(row, x - k, w, left), after = pixel(row, x + k, w, right);
    sum += before + after;
    number += left + right;
  }
  return {sum, number};
}

extern "C" __global__ void __launch_bounds__(256)
measure(const PIXEL* __restrict__ images, const LABEL* __restrict__ labels,
        const int64* __restrict__ table, const int* __restrict__ rows, float* __restrict__ out,
        int regions, int rows_of_sphere, int d, int h, int w) {
  __shared__ double scratch[8];
  const double none = __int_as_float(0xff800000);  // -inf
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const int64* box = table + region * 8;
    const int height = box[5] - box[4], width = box[7] - box[6];
    const int pixels = (int)(box[3] - box[2]) * height * width;
    const uint64 image = (uint64)box[0] * d * h * w;
    double greatest = none, local_peak = none, global_peak = none;
    for (int at = threadIdx.x; at < pixels; at += blockDim.x) {
      const int row = at / width;
      const int z = box[2] + row / height, y = box[4] + row % height, x = box[6] + at % width;
      const uint64 of = image + ((uint64)z * h + y) * w + x;
      const double v = images[of];
      if (!inside(labels[of], box[1]) || !finite(v)) continue;
      double sum = 0.0;
      int number = 0;
      for (int k = 0; k < rows_of_sphere; k++) {
        const int zz = z + rows[3 * k], yy = y + rows[3 * k + 1];
        if (zz < 0 || zz >= d || yy < 0 || yy >= h) continue;
        const Sum_of_run run = sum_run(images + image + ((uint64)zz * h + yy) * w, x,
                                       rows[3 * k + 2], w);
        sum += run.sum;
        number += run.number;
      }
      const double peak = sum / number;
      global_peak = max(global_peak, peak);
      local_peak = v > greatest ? peak : v == greatest ? max(local_peak, peak) : local_peak;
      greatest = max(greatest, v);
    }
    const double highest = block_reduce(greatest, scratch, Max());
    local_peak = block_reduce(greatest == highest ? local_peak : none, scratch, Max());
    global_peak = block_reduce(global_peak, scratch, Max());
    if (threadIdx.x == 0) {
      const float empty = __int_as_float(0x7fc00000);
      out[2 * region] = highest > none ? (float)local_peak : empty;
      out[2 * region + 1] = highest > none ? (float)global_peak : empty;
    }
  }
}

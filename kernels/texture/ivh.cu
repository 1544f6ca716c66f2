// The 7 features of the intensity-volume histogram of every region, see ivh.py, from intensities
// gathered by _values.cu. One block of 256 threads a region; blocks go on with region + gridDim.x.
// Pixels are counted as integers; what is left is floating point in the order of the CPU code.
#include "_values.cuh"

enum : int { FEATURES = 7, BINS = 1000 };
enum : int { DISCRETE, CONTINUOUS, ARBITRARY };
enum : int { REGION, LOW, BOTH };

struct Scale {
  double gain, origin, step, last;  // bin k = floor(gain (v - origin) / step), at most last
  double intervals, first, width;   // of G; intensity of bin 0, step to the next
};

__device__ Scale scale_of(Extent ends, int units, double width, int bounds, double low,
                          double high) {
  const double last = 4294967296.0;
  const double origin = bounds == REGION ? ends.least : low;
  const double end = bounds == BOTH ? high : ends.greatest;
  if (units == DISCRETE) return {1.0, origin, 1.0, last, min(end - origin, last), origin, 1.0};
  if (units == CONTINUOUS) {
    const double intervals = min(max((end - origin) / width - 1.0, 0.0), last);
    return {1.0, origin, width, last, intervals, origin + width / 2.0, width};
  }
  const double spread = ends.greatest - ends.least;
  return {BINS, ends.least, spread > 0.0 ? spread : 1.0, BINS - 1.0, BINS - 1.0, 1.0, 1.0};
}

__device__ __forceinline__ double place(float v, const Scale& scale) {
  const double t = scale.gain * ((double)v - scale.origin) / scale.step;
  return t < scale.last ? t : scale.last;
}

extern "C" __global__ void __launch_bounds__(256)
measure(const float* __restrict__ gathered, const int64* __restrict__ spans,
        float* __restrict__ out, int regions, int units, double width, int bounds, double low,
        double high) {
  __shared__ Selection<2> chosen;
  __shared__ float found[2];
  __shared__ int64 scratch[WARPS];
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const float* values = gathered + spans[2 * region];
    const int64 count = spans[2 * region + 1];
    float* row = out + (size_t)region * FEATURES;
    if (count == 0) {
      if (threadIdx.x < FEATURES) row[threadIdx.x] = __int_as_float(0x7fc00000);
      continue;
    }
    if (threadIdx.x == 0) {
      chosen.rank[0][0] = count - 1 - 10 * count / 100;
      chosen.rank[0][1] = count - 1 - 90 * count / 100;
    }
    order_statistics<2>(values, count, chosen, found);
    const Extent ends = extent(values, count, (uint32*)scratch);
    const Scale scale = scale_of(ends, units, width, bounds, low, high);
    const double final = floor(scale.intervals);
    const double tenth = ceil(10.0 * scale.intervals / 100.0);
    const double ninth = ceil(90.0 * scale.intervals / 100.0);
    int64 above_tenth = 0, above_ninth = 0, above_final = 0, total = 0;
    for (int at = threadIdx.x; at < count; at += blockDim.x) {
      const double t = place(values[at], scale);
      above_tenth += t >= tenth;
      above_ninth += t >= ninth;
      above_final += t >= final;
      total += (int64)(t < final ? t : final);
    }
    above_tenth = block_reduce(above_tenth, scratch, Sum());
    above_ninth = block_reduce(above_ninth, scratch, Sum());
    above_final = block_reduce(above_final, scratch, Sum());
    total = block_reduce(total, scratch, Sum());
    if (threadIdx.x == 0) {
      const double n = count, v10 = above_tenth / n, v90 = above_ninth / n;
      const double i10 = scale.first + (floor(place(found[0], scale)) + 1.0) * scale.width;
      const double i90 = scale.first + (floor(place(found[1], scale)) + 1.0) * scale.width;
      const bool several = floor(place(ends.least, scale)) < floor(place(ends.greatest, scale));
      row[0] = v10;
      row[1] = v90;
      row[2] = i10;
      row[3] = i90;
      row[4] = v10 - v90;
      row[5] = i10 - i90;
      row[6] = final > 0.0 && several
                   ? (total + count - (count + above_final) / 2.0) / n / scale.intervals
                   : 0.0;
    }
    __syncthreads();
  }
}

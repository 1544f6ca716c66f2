// Regions cut out of images, as grey levels 1..Ng with zeros between: see _levels.py.
// One block of 256 threads a region; blocks go on with region + gridDim.x.
// LABEL is the labels' type, or that of the images if BOXES = 1: regions are whole boxes. The label 0
// stands for any other than 0.
#include "_information.cuh"

struct Scale {
  int levels, fixed, aligned;
  double origin, step, first, last;
};

struct Range {
  double gain, origin, step, last;
};

// The order of the operations is that of the CPU code; a division is rounded alike everywhere.
__device__ __forceinline__ int level(float v, const Range& range, double top) {
  const double t = range.gain * ((double)v - range.origin) / range.step;
  return (int)(t < top ? t : top) + 1;
}

__device__ __forceinline__ bool belongs(LABEL found, int64 label) {
#if BOXES
  return true;
#else
  return label == 0 ? found != 0 : found == label;
#endif
}

__device__ __forceinline__ bool inside(LABEL found, int64 label, float v, double first,
                                       double last) {
  return belongs(found, label) && v >= first && v < last;
}

__device__ Range range_of(double low, double high, const Scale& scale) {
  if (scale.fixed) return {1.0, scale.origin, scale.step, scale.last};
  if (scale.aligned) {
    const double origin = floor(low / scale.step) * scale.step;
    return {1.0, origin, scale.step, origin + scale.levels * scale.step};
  }
  const double step = high - low;
  return {(double)scale.levels, low, step != 0.0 ? step : 1.0, (double)__int_as_float(0x7f800000)};
}

extern "C" __global__ void __launch_bounds__(256)
crop(const PIXEL* __restrict__ images, const LABEL* __restrict__ labels,
     const int64* __restrict__ table, int64* __restrict__ crops, uint16* __restrict__ levels,
     int regions, int d, int h, int w, int count, int fixed, int aligned, double origin,
     double step, double first, double last, int removed) {
  __shared__ uint32 scratch[8];
  const Scale scale = {count, fixed, aligned, origin, step, first, last};
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const int64* box = table + region * 8;
    int64* crop = crops + region * CROP_COLUMNS;
    const int64 label = box[1];
    const int height = crop[HEIGHT], width = crop[WIDTH], next = crop[ROW];
    const int64 start = crop[START], slab = crop[SLAB];
    const int pixels = (int)crop[DEPTH] * height * width;
    const uint64 corner = ((box[0] * d + box[2]) * h + box[4]) * w + box[6];

    uint32 low = 0xffffffffu, high = 0;
    for (int at = threadIdx.x; at < pixels; at += blockDim.x) {
      const int row = at / width;
      const uint64 of = corner + ((uint64)(row / height) * h + row % height) * w + at % width;
      const float v = (float)images[of];
      if (inside(labels[of], label, v, first, last)) {
        const uint32 key = float_to_key(v);
        low = min(low, key);
        high = max(high, key);
      }
    }
    low = block_reduce(low, scratch, Min());
    high = block_reduce(high, scratch, Max());
    if (low > high) {
      if (threadIdx.x == 0) crop[TOP] = crop[VOXELS] = 0;
      continue;
    }

    const Range range = range_of(key_to_float(low), key_to_float(high), scale);
    const double end = range.last < last ? range.last : last;
    uint32 highest = 0, voxels = 0;
    for (int at = threadIdx.x; at < pixels; at += blockDim.x) {
      const int row = at / width, z = row / height, y = row % height, x = at % width;
      const uint64 of = corner + ((uint64)z * h + y) * w + x;
      const float v = (float)images[of];
      const bool counts = inside(labels[of], label, v, first, end);
      const uint32 found = counts ? level(v, range, count - 1.0) : 0;
      levels[start + z * slab + y * next + x] =
          counts ? found : belongs(labels[of], label) ? removed : 0;
      highest = max(highest, found);
      voxels += counts;
    }
    highest = block_reduce(highest, scratch, Max());
    voxels = block_reduce(voxels, scratch, Sum());
    if (threadIdx.x == 0) {
      crop[TOP] = highest;
      crop[VOXELS] = voxels;
    }
  }
}

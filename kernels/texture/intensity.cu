// Intensity and location of objects: see intensity.py. One block of 256 threads a region; blocks go
// on with region + gridDim.x. A thread sums every 256th value and the tree over threads is that of
// the CPU code: the same bits as there.
// LABEL is the labels' type, or that of the images if BOXES = 1: regions are whole boxes. The label 0
// stands for any other than 0.
#include "_values.cuh"

enum : int { FEATURES = 24, QUARTILES = 3 };

struct Region {
  const LABEL* labels;  // of its image
  const int64* box;     // image, label, z0, z1, y0, y1, x0, x1
  int d, h, w;          // of the image

  __device__ __forceinline__ bool inside(int z, int y, int x) const {
#if BOXES
    return z >= box[2] && z < box[3] && y >= box[4] && y < box[5] && x >= box[6] && x < box[7];
#else
    const LABEL found = labels[((uint64)z * h + y) * w + x];
    return box[1] == 0 ? found != 0 : found == box[1];
#endif
  }
  // Whether a pixel inside has a side on a pixel of the image outside.
  __device__ __forceinline__ bool edge(int z, int y, int x) const {
    return (z > 0 && !inside(z - 1, y, x)) || (z + 1 < d && !inside(z + 1, y, x)) ||
           (y > 0 && !inside(z, y - 1, x)) || (y + 1 < h && !inside(z, y + 1, x)) ||
           (x > 0 && !inside(z, y, x - 1)) || (x + 1 < w && !inside(z, y, x + 1));
  }
};

// The number of this thread's value among those kept so far; `found` of them before this round.
__device__ int append(bool keep, int& found, uint32* votes) {
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  const uint32 kept = __ballot_sync(FULL_WARP, keep);
  if (lane == 0) votes[warp] = __popc(kept);
  __syncthreads();
  int place = found + __popc(kept & ((1u << lane) - 1));
  for (int k = 0; k < WARPS; k++) {
    if (k < warp) place += votes[k];
    found += votes[k];
  }
  __syncthreads();
  return place;
}

struct Counts {
  int all, rim;
};

// Values of the object and of its edge, row after row, and the pixels' numbers in the image.
__device__ Counts collect(const PIXEL* image, const Region& region, float* values, float* rim,
                          uint32* places, uint32* votes) {
  const int64* box = region.box;
  const int height = box[5] - box[4], width = box[7] - box[6];
  const int pixels = (int)(box[3] - box[2]) * height * width;
  Counts found = {0, 0};
  for (int first = 0; first < pixels; first += blockDim.x) {
    const int at = first + threadIdx.x;
    bool keep = false, edge = false;
    uint32 of = 0;
    float v = 0.0f;
    if (at < pixels) {
      const int row = at / width, z = box[2] + row / height, y = box[4] + row % height;
      const int x = box[6] + at % width;
      of = ((uint32)z * region.h + y) * region.w + x;
      v = (float)image[of] + 0.0f;  // -0 becomes 0
      keep = region.inside(z, y, x) && fabsf(v) < __int_as_float(0x7f800000);
      edge = keep && region.edge(z, y, x);
    }
    const int place = append(keep, found.all, votes), on_rim = append(edge, found.rim, votes);
    if (keep) {
      values[place] = v;
      places[place] = of;
    }
    if (edge) rim[on_rim] = v;
  }
  __syncthreads();
  return found;
}

// out[0 .. 4] = sum, mean, standard deviation, least and greatest, by one thread.
__device__ void describe_five(const float* values, int count, double* out, double* scratch) {
  double sum = 0.0, squares = 0.0;
  for (int at = threadIdx.x; at < count; at += blockDim.x) sum += values[at];
  sum = block_reduce(sum, scratch, Sum());
  const double mean = sum / count;
  for (int at = threadIdx.x; at < count; at += blockDim.x) {
    const double apart = values[at] - mean;
    squares += apart * apart;
  }
  squares = block_reduce(squares, scratch, Sum());
  const Extent ends = extent(values, count, (uint32*)scratch);
  if (threadIdx.x == 0) {
    const double none = __longlong_as_double(0x7ff8000000000000ll);
    out[0] = count ? sum : none;
    out[1] = count ? mean : none;
    out[2] = count ? sqrt(squares / count) : none;
    out[3] = count ? ends.least : none;
    out[4] = count ? ends.greatest : none;
  }
  __syncthreads();
}

__device__ __forceinline__ int on_axis(uint32 place, int axis, int h, int w) {
  return axis == 2 ? place % w : axis == 1 ? place / w % h : place / w / h;
}

// Displacement, mass centre, place of the greatest intensity and centre.
__device__ void describe_places(const float* values, const uint32* places, int count, int h, int w,
                                double* out, double* scratch) {
  const double sum = out[0], greatest = out[4];
  int first = count;
  for (int at = threadIdx.x; at < count; at += blockDim.x)
    if (values[at] == greatest) first = min(first, at);
  first = block_reduce(first, (int*)scratch, Min());
  double square = 0.0;
#pragma unroll 1
  for (int axis = 0; axis < 3; axis++) {
    int64 total = 0;
    for (int at = threadIdx.x; at < count; at += blockDim.x)
      total += on_axis(places[at], axis, h, w);
    total = block_reduce(total, (int64*)scratch, Sum());
    const int64 origin = total / count;
    const double centre = (double)(total - origin * count) / count;
    double mass = 0.0;
    for (int at = threadIdx.x; at < count; at += blockDim.x)
      mass += (double)values[at] * (double)(on_axis(places[at], axis, h, w) - (int)origin);
    mass = block_reduce(mass, scratch, Sum()) / sum;
    if (sum == 0.0) mass = __longlong_as_double(0x7ff8000000000000ll);
    square += (mass - centre) * (mass - centre);
    if (threadIdx.x == 0) {
      out[17 - axis] = origin + mass;
      out[20 - axis] = on_axis(places[first], axis, h, w);
      out[23 - axis] = origin + centre;
    }
  }
  if (threadIdx.x == 0) out[10] = sqrt(square);
  __syncthreads();
}

__device__ __forceinline__ double between(const float* found, int k, int count, int less) {
  const double low = found[2 * k - 2], high = found[2 * k - 1];
  const int fourths = (int64)k * (count - less) % 4;
  return low + fourths / 4.0 * (high - low);
}

// The order statistics of quartiles 1, 2 and 3, two each.
__device__ void quartiles(const float* values, int count, int less,
                          Selection<2 * QUARTILES>& chosen, float* found) {
  if (threadIdx.x < QUARTILES) {
    const int k = threadIdx.x;
    const uint32 rank = (int64)(k + 1) * (count - less) / 4;
    chosen.rank[0][2 * k] = rank;
    chosen.rank[0][2 * k + 1] = min(rank + 1, count - 1);
  }
  order_statistics<2 * QUARTILES>(values, count, chosen, found);
}

extern "C" __global__ void __launch_bounds__(256, 3)
measure(const PIXEL* __restrict__ images, const LABEL* __restrict__ labels,
        const int64* __restrict__ table, const int64* __restrict__ starts,
        float* __restrict__ taken, float* __restrict__ rims, uint32* __restrict__ numbers,
        float* __restrict__ out, int regions, int d, int h, int w, int less) {
  __shared__ Selection<2 * QUARTILES> chosen;
  __shared__ float found[2 * QUARTILES];
  __shared__ double scratch[WARPS], features[FEATURES];
  for (int k = blockIdx.x; k < regions; k += gridDim.x) {
    const int64* box = table + k * 8;
    const uint64 corner = (uint64)box[0] * d * h * w;
    float *values = taken + starts[k], *rim = rims + starts[k], *row = out + (size_t)k * FEATURES;
    uint32* places = numbers + starts[k];
    const Region region = {labels + corner, box, d, h, w};
    const Counts count =
        collect(images + corner, region, values, rim, places, (uint32*)scratch);
    if (count.all == 0) {
      if (threadIdx.x < FEATURES) row[threadIdx.x] = __int_as_float(0x7fc00000);
      continue;
    }
    describe_five(values, count.all, features, scratch);
    describe_five(rim, count.rim, features + 5, scratch);
    describe_places(values, places, count.all, h, w, features, scratch);
    quartiles(values, count.all, less, chosen, found);
    const double median = between(found, 2, count.all, less);
    if (threadIdx.x == 0) {
      features[11] = between(found, 1, count.all, less);
      features[12] = median;
      features[14] = between(found, 3, count.all, less);
    }
    for (int at = threadIdx.x; at < count.all; at += blockDim.x)
      values[at] = (float)fabs(values[at] - median);
    __syncthreads();
    quartiles(values, count.all, less, chosen, found);
    if (threadIdx.x == 0) features[13] = between(found, 2, count.all, less);
    __syncthreads();
    if (threadIdx.x < FEATURES) row[threadIdx.x] = features[threadIdx.x];
    __syncthreads();
  }
}

// What the median's kernels share; it stands before their sources. Pixels are compared as keys:
// unsigned integers of the pixel's width in the order of the pixels.
#include "_cuda.cuh"

enum : int { SIDE = 2 * RADIUS + 1 };

struct Or {
  __device__ uint32 operator()(uint32 a, uint32 b) const { return a | b; }
};

template <int BYTES> struct Unsigned;
template <> struct Unsigned<1> { using type = uint8; };
template <> struct Unsigned<2> { using type = uint16; };
template <> struct Unsigned<4> { using type = uint32; };
using Key = Unsigned<sizeof(PIXEL)>::type;

__device__ uint8 key_of(uint8 pixel) { return pixel; }
__device__ uint16 key_of(uint16 pixel) { return pixel; }
__device__ uint16 key_of(short pixel) { return pixel ^ 0x8000; }
__device__ uint32 key_of(float pixel) {  // every NaN above +inf
  return isnan(pixel) ? __float_as_uint(pixel) | 0x80000000u : float_to_key(pixel);
}
__device__ void set_pixel(uint8& pixel, uint32 key) { pixel = key; }
__device__ void set_pixel(uint16& pixel, uint32 key) { pixel = key; }
__device__ void set_pixel(short& pixel, uint32 key) { pixel = key ^ 0x8000; }
__device__ void set_pixel(float& pixel, uint32 key) { pixel = key_to_float(key); }


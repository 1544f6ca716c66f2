// Colours in float32; the twin of _colour.py: the same operations in the same order.
#pragma once

struct Colour {
  float first, second, third;
};

// Of 2^-90 < x < 2^90, relative error below 2.5e-7.
__device__ __forceinline__ float cube_root(float x) {
  float root = __int_as_float(__float_as_int(x) / 3 + 709921077);
#pragma unroll
  for (int step = 0; step < 2; step++) {
    const float cube = root * root * root;
    root = root * ((cube + x) + x) / ((cube + cube) + x);
  }
  return root;
}

// f(t) of L*a*b*
__device__ __forceinline__ float perceived(float t) {
  const float knee = (float)(216.0 / 24389.0);  // (6/29)^3
  return t > knee ? cube_root(t) : t * (float)(841.0 / 108.0) + (float)(4.0 / 29.0);
}

// L*, a*, b* of linear light; the matrix of _colour.py: white is (1, 1, 1).
__device__ __forceinline__ Colour to_lab(float red, float green, float blue) {
  const double xn = 0.95047, zn = 1.08883;
  const float x = perceived(((float)(0.412453 / xn) * red + (float)(0.357580 / xn) * green) +
                            (float)(0.180423 / xn) * blue);
  const float y = perceived((0.212671f * red + 0.715160f * green) + 0.072169f * blue);
  const float z = perceived(((float)(0.019334 / zn) * red + (float)(0.119193 / zn) * green) +
                            (float)(0.950227 / zn) * blue);
  return {116.0f * y - 16.0f, 500.0f * (x - y), 200.0f * (y - z)};
}

// Hue, saturation and value of colours in any unit; the value is in that unit.
__device__ __forceinline__ Colour to_hsv(float red, float green, float blue) {
  const float most = fmaxf(fmaxf(red, green), blue), least = fminf(fminf(red, green), blue);
  const float spread = most - least;
  const bool from_blue = most == blue, from_green = most == green;
  const float start = from_blue ? 4.0f : from_green ? 2.0f : 0.0f;
  const float rest = from_blue ? red - green : from_green ? blue - red : green - blue;
  const float sixths = start + rest / (spread == 0.0f ? 1.0f : spread);
  const float hue = (sixths < 0.0f ? sixths + 6.0f : sixths) / 6.0f;
  return {spread == 0.0f ? 0.0f : hue, spread / (most == 0.0f ? 1.0f : most), most};
}

// The amount of one stain, at least 0, of optical densities; its weights (3,).
__device__ __forceinline__ float stain(float red, float green, float blue, const float* weights) {
  const float amount = (red * weights[0] + green * weights[1]) + blue * weights[2];
  return amount > 0.0f ? amount : 0.0f;
}

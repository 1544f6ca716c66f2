// The angle of a point without a library's functions; the twin of `angle` in _polynomials.py.
#pragma once

#define TURN 6.283185307179586

__device__ double arctangent(double z) {
  double start = 0.0;
  if (z > 0.4142135623730951) {  // tan(pi / 8)
    start = 0.7853981633974483;
    z = (z - 1.0) / (z + 1.0);
  }
  const double square = z * z;
  double series = 0.0;
#pragma unroll 1
  for (int k = 18; k >= 0; k--) series = 1.0 / (2.0 * k + 1.0) - square * series;
  return start + z * series;
}

// arctan2(y, x), 0 for (0, 0)
__device__ double angle(double y, double x) {
  const double up = fabs(y), across = fabs(x);
  if (up == 0.0 && across == 0.0) return 0.0;
  const bool steep = up > across;
  double found = arctangent(steep ? across / up : up / across);
  if (steep) found = 1.5707963267948966 - found;
  if (x < 0.0) found = 3.141592653589793 - found;
  return y < 0.0 ? -found : found;
}

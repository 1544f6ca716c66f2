// A region of an image: its box, and the pixels there that carry its label.
// PIXEL and LABEL: types; LABEL is that of the images if BOXES = 1: regions are whole boxes. The
// label 0 stands for any other than 0.
#pragma once
#include "_cuda.cuh"

using int64 = long long;

struct Box {
  const PIXEL* pixels;
  const LABEL* labels;
  int64 label;
  int height, width, stride;

  __device__ __forceinline__ double at(int y, int x) const {
    return (double)pixels[(int64)y * stride + x];
  }
  __device__ __forceinline__ bool labelled(int y, int x) const {
#if BOXES
    return true;
#else
    const LABEL found = labels[(int64)y * stride + x];
    return label == 0 ? found != 0 : found == label;
#endif
  }
  // Labelled, and neither NaN nor infinite.
  __device__ __forceinline__ bool inside(int y, int x) const {
    return labelled(y, x) && fabs(at(y, x)) < (double)__int_as_float(0x7f800000);
  }
};

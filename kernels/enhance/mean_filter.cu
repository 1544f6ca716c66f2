// The mean over a window is a separable filter.
#include "_separable.cuh"

// The sub-bands of an undecimated wavelet transform are separable filters.
#include "_separable.cuh"

// Laws' kernels, their rotations, and the mean that makes an energy of them, are separable filters.
#include "_separable.cuh"

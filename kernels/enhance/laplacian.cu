// The Laplacian of a Gaussian is a sum of separable filters, one an axis.
#include "_separable.cuh"

// Kuan's speckle filter: mean + k (pixel - mean), k = max(0, 1 - noise / variance) / (1 + u^2).
extern "C" __global__ void __launch_bounds__(THREADS, 4)
    kuan(const PIXEL* __restrict__ images, PIXEL* __restrict__ out,
         const float* __restrict__ speckle, int n, int h, int w) {
  for_each_window<false>(images, speckle, n, h, w, [=](float u, uint64 k, Window window) {
    const float mean = window.mean, variance = window.variance;
    const float u2 = u * u;
    const float chance = u2 * (mean * mean), scale = 1.0f / (1.0f + u2);
    const float gain = variance > chance ? scale * (1.0f - chance / variance) : 0.0f;
    set_pixel(out[k], mean + gain * ((float)images[k] - mean));
  });
}

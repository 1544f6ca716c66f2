// Frost's speckle filter. WINDOW is a list of the neighbours: ROOT(square) starts the distances
// m sqrt(square), QUAD(a, b) sums the pixel at (a, b) and its three quarter turns, RING(count)
// weighs what was summed, `count` pixels at the distance of the next m.
#define QUAD(a, b)                                                                        \
  ring += (centre[-(a) * PATCH_COLUMNS - (b)] + centre[(a) * PATCH_COLUMNS + (b)]) +      \
          (centre[-(b) * PATCH_COLUMNS + (a)] + centre[(b) * PATCH_COLUMNS - (a)]);
#define ROOT(square)                      \
  base = exp32(-(decay * sqrtf(square))); \
  power = 1;
#define RING(count)        \
  power = power * base;    \
  total += power * ring;   \
  weights += power * count; \
  ring = 0;

extern "C" __global__ void __launch_bounds__(THREADS, 4)
    frost(const PIXEL* __restrict__ images, PIXEL* __restrict__ out,
          const float* __restrict__ speckle, float damping, int log, int n, int h, int w) {
  for_each_window<true>(images, speckle, n, h, w, [=](float u, uint64 k, Window window) {
    const float least = 1e-20f;  // so that a black window divides by something
    const float level = log ? 1.0f : window.mean * window.mean;
    const float chance = u * u * level;
    const float decay = damping * (window.variance / (chance > least ? chance : least));
    const float* centre = window.pixel;
    float total = *centre, weights = 1, ring = 0, base, power;
    WINDOW
    set_pixel(out[k], total / weights + (window.mean - window.mean));
  });
}

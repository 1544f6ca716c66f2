// One thread an output pixel; block (32, 8), grid (ceil(w / 32), ceil(h / 8), images).
extern "C" __global__ void __launch_bounds__(256)
box_mean(const float* __restrict__ images, float* __restrict__ out, int n, int h, int w, int radius) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= w || y >= h) return;
    int side = 2 * radius + 1;
    for (int i = blockIdx.z; i < n; i += gridDim.z) {
        const float* image = images + (size_t)i * h * w;
        float total = 0.f;
        for (int dy = -radius; dy <= radius; dy++)
            for (int dx = -radius; dx <= radius; dx++)
                total += image[(size_t)min(max(y + dy, 0), h - 1) * w + min(max(x + dx, 0), w - 1)];
        out[((size_t)i * h + y) * w + x] = total / (float)(side * side);
    }
}

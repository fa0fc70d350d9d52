// Rates that the device reaches with nothing else to do: eight independent chains a thread of one instruction.

template <class T>
__device__ void chains(T *out, int rounds, T a, T b) {
    T x[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = a + static_cast<T>(threadIdx.x + i);
    for (int r = 0; r < rounds; ++r)
#pragma unroll
        for (int i = 0; i < 8; ++i) x[i] = fma(x[i], a, b);
    T sum = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) sum += x[i];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

extern "C" __global__ void fma_fp64(double *out, int rounds, double a, double b) { chains(out, rounds, a, b); }

extern "C" __global__ void fma_fp32(float *out, int rounds, float a, float b) { chains(out, rounds, a, b); }

extern "C" __global__ void special_fp32(float *out, int rounds, float a, float b) {
    float x[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = a + b + static_cast<float>(threadIdx.x + i) * -1e-3f;
    for (int r = 0; r < rounds; ++r)
#pragma unroll
        for (int i = 0; i < 8; ++i) asm volatile("ex2.approx.ftz.f32 %0, %0;" : "+f"(x[i]));
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) sum += x[i];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

// Kernels for the rig's own tests: one sound, the others each with one planted fault.

template <class T>
__device__ T block_sum(const T *x, int n, bool synchronize) {
    extern __shared__ double scratch[];
    const int t = threadIdx.x;
    scratch[t] = t < n ? x[t] : T(0);
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (synchronize) __syncthreads();
        if (t < half) scratch[t] += scratch[t + half];
    }
    if (synchronize) __syncthreads();
    return scratch[0];
}

extern "C" __global__ void __launch_bounds__(64) sum(const double *x, int n, double *out) {
    const double total = block_sum(x, n, true);
    if (threadIdx.x == 0) out[blockIdx.x] = total;
}

// The barriers are missing.
extern "C" __global__ void __launch_bounds__(64) sum_race(const double *x, int n, double *out) {
    const double total = block_sum(x, n, false);
    if (threadIdx.x == 0) out[blockIdx.x] = total;
}

// One element past the array is read.
extern "C" __global__ void read_past(const double *x, int n, double *out) { out[threadIdx.x] = x[threadIdx.x + 1]; }

// One element past the array is written.
extern "C" __global__ void write_past(const double *x, int n, double *out) { out[threadIdx.x + 1] = x[threadIdx.x]; }

// One element past the static shared array.
extern "C" __global__ void static_past(const double *x, int n, double *out) {
    __shared__ double row[8];
    row[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    out[threadIdx.x] = row[threadIdx.x];
}

// A 16-byte load from an odd element.
extern "C" __global__ void misaligned(const double *x, int n, double *out) {
    const double2 pair = *reinterpret_cast<const double2 *>(x + 1);
    out[threadIdx.x] = pair.x + pair.y;
}

// A 32-bit index that overflows.
extern "C" __global__ void overflow(const double *x, int n, double *out) { out[threadIdx.x] = x[(n * n) & 1]; }

#define WARP(NAME, T)                                                             \
    extern "C" __global__ void NAME(T *x, int *vote) {                            \
        T v = x[threadIdx.x];                                                     \
        for (int by = 16; by > 0; by /= 2) v += __shfl_down_sync(~0u, v, by);     \
        x[threadIdx.x] = __shfl_sync(~0u, v, 0);                                  \
        const unsigned odd = __ballot_sync(~0u, threadIdx.x & 1);                 \
        if (threadIdx.x % 32 == 0) atomicAdd(vote, __popc(odd));                  \
    }
WARP(warp_sum_f64, double)
WARP(warp_sum_f32, float)

extern "C" __global__ void where(int *out) {
    if (threadIdx.y == 2) return;  // a thread that returns early does not hold up the others
    __syncthreads();
    out[((blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x) * 6 + threadIdx.y * blockDim.x + threadIdx.x] =
        100 * blockIdx.z + 10 * blockIdx.y + blockIdx.x;
}

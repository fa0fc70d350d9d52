// Exponentially weighted volatility of all factors at once.
//
// Unavoidable: 8 bytes a return read and 8 a volatility written; the three walks along the dates (mean, variance,
// recursion) read from cache after the first. A factor is a chain of dates × 2 dependent FP64 operations a walk, so with
// fewer factors than the device has lanes the latency of that chain binds, not a unit.
// Sums run from the oldest date to the newest, as NumPy sums along the first of two axes: the bits are the reference's.

// A thread a factor; neighbours read neighbouring returns.
extern "C" __global__ void __launch_bounds__(64)
filter_ewma(const double *__restrict__ returns, long long n_dates, int n_factors, double decay,
            double *__restrict__ volatility) {
    const int factor = blockIdx.x * blockDim.x + threadIdx.x;
    if (factor >= n_factors) return;
    const double *r = returns + factor;
    double sum = 0.0, sizes = 0.0;
#pragma unroll 8
    for (long long t = 0; t < n_dates; ++t) {
        const double x = r[t * n_factors];
        sum = __dadd_rn(sum, x);
        sizes = __dadd_rn(sizes, __dmul_rn(x, x));
    }
    const double mean = sum / static_cast<double>(n_dates);
    double squares = 0.0;
#pragma unroll 8
    for (long long t = 0; t < n_dates; ++t) {
        const double d = r[t * n_factors] - mean;
        squares = __dadd_rn(squares, __dmul_rn(d, d));
    }
    double variance = squares / static_cast<double>(n_dates > 1 ? n_dates - 1 : 0);
    // Returns that vary by rounding alone: their variance says nothing.
    const double mean_square = sizes / static_cast<double>(n_dates);
    if (variance <= 1e-12 * mean_square) variance = mean_square;
    volatility[factor] = sqrt(variance);
    const double rest = 1.0 - decay;
#pragma unroll 8
    for (long long t = 0; t < n_dates; ++t) {
        const double x = r[t * n_factors];
        // Products rounded on their own, as in NumPy.
        variance = __dadd_rn(__dmul_rn(decay, variance), __dmul_rn(rest, __dmul_rn(x, x)));
        volatility[(t + 1) * n_factors + factor] = sqrt(variance);
    }
}

// A thread a factor: the mean size of the returns, then the recursion.
extern "C" __global__ void __launch_bounds__(64)
filter_absolute(const double *__restrict__ returns, long long n_dates, int n_factors, double decay,
                double *__restrict__ volatility) {
    const int factor = blockIdx.x * blockDim.x + threadIdx.x;
    if (factor >= n_factors) return;
    const double *r = returns + factor;
    const double root2 = 1.4142135623730951;
    double sum = 0.0;
#pragma unroll 8
    for (long long t = 0; t < n_dates; ++t) sum = __dadd_rn(sum, __dmul_rn(root2, fabs(r[t * n_factors])));
    double sigma = sum / static_cast<double>(n_dates);
    volatility[factor] = sigma;
    const double rest = 1.0 - decay;
#pragma unroll 8
    for (long long t = 0; t < n_dates; ++t) {
        const double size = __dmul_rn(root2, fabs(r[t * n_factors]));
        sigma = __dadd_rn(__dmul_rn(decay, sigma), __dmul_rn(rest, size));
        volatility[(t + 1) * n_factors + factor] = sigma;
    }
}

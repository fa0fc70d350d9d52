// Normal numbers of a Monte Carlo run, independent and correlated.
//
// normals: 8 bytes a number are written, which takes less time than its 45 to 140 FP64 operations (philox.cuh): FP64 binds.
// correlate: paths × factors² FP64 fused multiplications and additions, 16 bytes a number; FP64 binds from 8 factors on.
// draw: both at once, so that independent numbers never reach memory; up to 64 factors each is drawn once.
// Products are summed in the order of the factors, so that draw and normals + correlate give the same bits.
#include "philox.cuh"

static const int PATHS = 64, FACTORS = 64, CHUNK = 16, THREADS = 256;  // of a tile of correlated numbers

// Block (pairs, paths): a thread makes the two numbers of a pair of columns.
extern "C" __global__ void __launch_bounds__(256)
normals(unsigned int key0, unsigned int key1, unsigned int lane, unsigned long long first_path, long long n_paths,
        int n_columns, double *__restrict__ out) {
    const long long row = static_cast<long long>(blockIdx.x) * blockDim.y + threadIdx.y;
    const int pair = blockIdx.y * blockDim.x + threadIdx.x;
    if (row >= n_paths || 2 * pair >= n_columns) return;
    const double2 z = normal_pair({key0, key1, lane}, first_path + row, pair);
    double *to = out + row * n_columns + 2 * pair;
    if (n_columns % 2 == 0) {
        *reinterpret_cast<double2 *>(to) = z;
        return;
    }
    to[0] = z.x;
    if (2 * pair + 1 < n_columns) to[1] = z.y;
}

struct Drawn {
    Stream stream;
    unsigned long long first_path;

    // Fills z[factor][path] of a tile with the numbers of CHUNK columns; those beyond the last meet weights of zero.
    __device__ void fill(double (*z)[PATHS], long long first_row, int first_factor) const {
        for (int i = threadIdx.x; i < CHUNK / 2 * PATHS; i += THREADS) {
            const int path = i % PATHS, pair = i / PATHS;
            const double2 two = normal_pair(stream, first_path + first_row + path, first_factor / 2 + pair);
            z[2 * pair][path] = two.x;
            z[2 * pair + 1][path] = two.y;
        }
    }
};

struct Stored {
    const double *independent;
    long long n_paths;
    int n_factors;

    __device__ void fill(double (*z)[PATHS], long long first_row, int first_factor) const {
        for (int i = threadIdx.x; i < CHUNK * PATHS; i += THREADS) {
            const int factor = i % CHUNK, path = i / CHUNK;
            const bool inside = first_row + path < n_paths && first_factor + factor < n_factors;
            z[factor][path] = inside ? independent[(first_row + path) * n_factors + first_factor + factor] : 0.0;
        }
    }
};

// out = (numbers · root) · scale · mixing for a tile of 64 paths and 64 factors; a thread sums 4 × 4 of it.
template <class Numbers>
__device__ inline void correlated_tile(const Numbers &numbers, long long n_paths, int n_factors,
                                       const double *__restrict__ root, const double *__restrict__ mixing,
                                       const double *__restrict__ scale, double *__restrict__ out) {
    __shared__ double z[CHUNK][PATHS], weight[CHUNK][FACTORS];
    const long long first_row = static_cast<long long>(blockIdx.x) * PATHS;
    const int first_column = blockIdx.y * FACTORS;
    const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    double sum[4][4] = {};
    for (int k = 0; k < n_factors; k += CHUNK) {
        __syncthreads();
        numbers.fill(z, first_row, k);
        for (int i = threadIdx.x; i < CHUNK * FACTORS; i += THREADS) {
            const int factor = k + i / FACTORS, column = first_column + i % FACTORS;
            const bool inside = factor < n_factors && column < n_factors;
            weight[i / FACTORS][i % FACTORS] = inside ? root[static_cast<long long>(factor) * n_factors + column] : 0.0;
        }
        __syncthreads();
#pragma unroll 4
        for (int f = 0; f < CHUNK; ++f) {
            double a[4], b[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                a[i] = z[f][ty + 16 * i];
                b[i] = weight[f][tx + 16 * i];
            }
#pragma unroll
            for (int i = 0; i < 4; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) sum[i][j] = fma(a[i], b[j], sum[i][j]);
        }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const long long row = first_row + ty + 16 * i;
        if (row >= n_paths) continue;
        const double mix = mixing ? mixing[row] : 1.0;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const int column = first_column + tx + 16 * j;
            if (column < n_factors) out[row * n_factors + column] = sum[i][j] * (scale ? scale[column] : 1.0) * mix;
        }
    }
}

extern "C" __global__ void __launch_bounds__(256)
correlate(const double *__restrict__ independent, long long n_paths, int n_factors, const double *__restrict__ root,
          const double *__restrict__ mixing, const double *__restrict__ scale, double *__restrict__ out) {
    correlated_tile(Stored{independent, n_paths, n_factors}, n_paths, n_factors, root, mixing, scale, out);
}

extern "C" __global__ void __launch_bounds__(256)
draw(unsigned int key0, unsigned int key1, unsigned int lane, unsigned long long first_path, long long n_paths,
     int n_factors, const double *__restrict__ root, const double *__restrict__ mixing,
     const double *__restrict__ scale, double *__restrict__ out) {
    correlated_tile(Drawn{{key0, key1, lane}, first_path}, n_paths, n_factors, root, mixing, scale, out);
}

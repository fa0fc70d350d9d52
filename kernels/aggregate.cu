// Profit and loss of cells: sparse holdings (compressed rows, touched cells only) times a tile of instruments' P&L, added to the cells.
//
// Work: a multiplication and an addition in float64 for each (holding, scenario); not one fma, so that the bits are the reference's.
// Bytes it cannot avoid: 8 (float32 tile: 4) for each (holding, scenario), read from the tile in L2; 16 for each (row, scenario) of
// the cells, read and written once; 12 for each holding and block of scenarios.
// What binds, by this count (not measured): the path from L2 to the multiprocessors, with more than two holdings a row; DRAM, through the cells, with fewer.
// Blocks of one range of scenarios run next to each other (rows are the fastest grid dimension), so what has to stay in L2 is not the
// tile but (instruments × scenarios of a block) of it: 4 KB an instrument in float64.

namespace {

constexpr int STAGE = 128;  // holdings in shared memory at a time

struct Stage {
    long long offset[STAGE];  // of the instrument's row in the tile
    double quantity[STAGE];
};

struct Tile {
    const int* cell;
    const long long* start;
    const int* instrument;
    const double* quantity;
    long long n_scenarios;
    long long pnl_stride;  // elements from row to row
    long long out_stride;
};

// One row of holdings in blockDim.x · PER_THREAD scenarios. A thread's scenarios lie blockDim.x apart: every access is coalesced.
template <int PER_THREAD, typename Real>
__device__ __forceinline__ void add_row(const Tile& tile, const Real* __restrict__ pnl, double* __restrict__ out,
                                        Stage& stage) {
    const int row = blockIdx.x;
    const long long base = static_cast<long long>(blockIdx.y) * blockDim.x * PER_THREAD + threadIdx.x;
    double* cell = out + tile.cell[row] * tile.out_stride;

    long long column[PER_THREAD];
    double before[PER_THREAD];
    double sum[PER_THREAD];
#pragma unroll
    for (int j = 0; j < PER_THREAD; ++j) {
        // Beyond the last scenario a thread repeats it and stores nothing: no branch in the loop.
        const long long wanted = base + static_cast<long long>(j) * blockDim.x;
        column[j] = wanted < tile.n_scenarios ? wanted : tile.n_scenarios - 1;
        before[j] = wanted < tile.n_scenarios ? cell[wanted] : 0.0;
        sum[j] = 0.0;
    }

    const long long end = tile.start[row + 1];
    for (long long begin = tile.start[row]; begin < end; begin += STAGE) {
        const int count = end - begin < STAGE ? static_cast<int>(end - begin) : STAGE;
        __syncthreads();  // the previous stage has been read
        for (int i = threadIdx.x; i < count; i += blockDim.x) {
            stage.offset[i] = tile.instrument[begin + i] * tile.pnl_stride;
            stage.quantity[i] = tile.quantity[begin + i];
        }
        __syncthreads();
#pragma unroll 4
        for (int i = 0; i < count; ++i) {
            const Real* __restrict__ from = pnl + stage.offset[i];
            const double held = stage.quantity[i];
#pragma unroll
            for (int j = 0; j < PER_THREAD; ++j) {
                sum[j] = __dadd_rn(sum[j], __dmul_rn(held, static_cast<double>(from[column[j]])));
            }
        }
    }

#pragma unroll
    for (int j = 0; j < PER_THREAD; ++j) {
        const long long wanted = base + static_cast<long long>(j) * blockDim.x;
        if (wanted < tile.n_scenarios) cell[wanted] = __dadd_rn(before[j], sum[j]);
    }
}

template <typename Real>
__device__ __forceinline__ void aggregate(const Tile& tile, const Real* pnl, double* out, int per_thread) {
    __shared__ Stage stage;
    switch (per_thread) {
        case 1: return add_row<1>(tile, pnl, out, stage);
        case 2: return add_row<2>(tile, pnl, out, stage);
        default: return add_row<4>(tile, pnl, out, stage);
    }
}

}  // namespace

// Grid: (rows of holdings, ranges of blockDim.x · per_thread scenarios); per_thread is 1, 2 or 4. Cells are distinct.
extern "C" __global__ void __launch_bounds__(128) aggregate_float64(
    const int* __restrict__ cell, const long long* __restrict__ start, const int* __restrict__ instrument,
    const double* __restrict__ quantity, long long n_scenarios, const double* __restrict__ pnl, long long pnl_stride,
    double* __restrict__ out, long long out_stride, int per_thread) {
    aggregate({cell, start, instrument, quantity, n_scenarios, pnl_stride, out_stride}, pnl, out, per_thread);
}

extern "C" __global__ void __launch_bounds__(128) aggregate_float32(
    const int* __restrict__ cell, const long long* __restrict__ start, const int* __restrict__ instrument,
    const double* __restrict__ quantity, long long n_scenarios, const float* __restrict__ pnl, long long pnl_stride,
    double* __restrict__ out, long long out_stride, int per_thread) {
    aggregate({cell, start, instrument, quantity, n_scenarios, pnl_stride, out_stride}, pnl, out, per_thread);
}

// Profit and loss of one contract of each instrument in each scenario, in base currency: see `cpu_reference.revalue`.
//
// What it cannot avoid, for one element (instrument × scenario): 8 bytes written (float: 4), nothing read that is not
// shared. Double-precision operations of a European option, counted in sm_90 machine code: 93 along a smile (moneyness
// and variance 6, its root 12, φ 17, Mills' ratio twice 34, their quotient 11, the rest 13), 84 at a volatility of its
// own. So the double-precision unit binds: an H200 (132 multiprocessors × 64 a clock × 1.8 GHz = 15·10¹² a second)
// cannot do more than 160·10⁹ elements a second, while the writes alone would allow 500·10⁹. An American option adds
// 35, a logarithm along a smile (40), and an operation for each coefficient of its polynomials (60 to 250). In float a
// European option takes 75 operations and 115 instructions; the instructions bind, at 270·10⁹ elements a second.
//
// A thread keeps its scenarios (as many as make a store of 16 bytes) in registers, with their discounts, forwards and
// segments of the smile, and walks down the strikes of a tile: instruments of one maturity, sign and style, strikes
// ascending. An option's profit and loss is formed as that of its intrinsic value, from differences of forwards and of
// discounts taken in double, plus that of its time value: so float keeps digits of the difference, not of the price.

#include "european.cuh"
#include "american.cuh"

constexpr int THREADS = 128;
constexpr int LANES = 32;  // scenarios of a block of American options; its warps share them

// Columns of the tables of `gpu_var.cuda.revalue_tables`.
enum TileColumn { FIRST_ROW, ROWS, MATURITY, SIGN, MOVING, PREMIUM };
enum LinearTable { LINEAR_ROW, LINEAR_MATURITY, CODE };
enum LinearColumn { LINEAR_PRICE, LINEAR_STRIKE, LINEAR_MULTIPLIER };
enum LinearCode { CASH, MARGINED, INVERSE, CALL_EXPIRED, PUT_EXPIRED };

// What a scenario does to early exercise.
template <typename real>
struct Exercise {
    real offset, shape;           // t = shape·ln σ² + offset (σ before growth)
    real log_carry;               // ln(S/F)
    real by_fx, by_spot;          // changes of fx and of spot × fx since today, times the sign
    real fx, scale;               // premiums are per strike (in fx) or per spot × fx
};

// The tile's rows, and its maturity's smile where it fits, into shared memory.
template <typename real>
__device__ inline Smile<real> stage(
    const int *tile, const real *rows, long long n_rows, const int *segment_start, long long n_segments,
    const real *segments, int room, real *shared) {
    int thread = threadIdx.x;
    for (int i = thread; i < ROW_COLUMNS * TILE_ROWS; i += THREADS) {
        int column = i / TILE_ROWS, r = i % TILE_ROWS;
        if (r < tile[ROWS]) {
            shared[i] = rows[column * n_rows + tile[FIRST_ROW] + r];
        }
    }
    shared += ROW_COLUMNS * TILE_ROWS;
    int begin = segment_start[tile[MATURITY]];
    int count = segment_start[tile[MATURITY] + 1] - begin;
    Smile<real> smile = {segments + begin, n_segments, count};
    if (count <= room) {
        for (int i = thread; i < 4 * count; i += THREADS) {
            shared[i] = segments[i / count * n_segments + begin + i % count];
        }
        smile.left = shared;
        smile.stride = count;
    }
    __syncthreads();
    return smile;
}

// Neighbouring scenarios, for one store of 16 bytes.
template <typename real>
struct alignas(16) Pack {
    static constexpr int SIZE = 16 / sizeof(real);
    real of[SIZE];
};

template <typename real, bool NORMAL, bool MOVES>
__device__ inline void european_tile(
    const int *tile, const Scenarios &scenarios, const Smile<real> &smile, const real *shared, long long first,
    long long n, real *out) {
    constexpr int SIZE = Pack<real>::SIZE;
    long long j = ((long long)blockIdx.y * THREADS + threadIdx.x) * SIZE;
    if (j >= n) {
        return;
    }
    Scenario<real> scenario[SIZE];
    Segment<real> segment[SIZE];
    Row<real> row = {shared};
#pragma unroll
    for (int e = 0; e < SIZE; ++e) {
        long long at = first + (j + e < n ? j + e : n - 1);
        scenario[e] = load_scenario<real, NORMAL>(scenarios, tile[MATURITY], tile[SIGN], at);
        if (MOVES) {
            find_segment(smile, row[MONEYNESS] + scenario[e].step, segment[e]);
        }
    }
    out += tile[FIRST_ROW] * n + j;
    bool whole = n % SIZE == 0;
    for (int r = 0; r < tile[ROWS]; ++r, ++row.column, out += n) {
        Pack<real> pnl;
#pragma unroll
        for (int e = 0; e < SIZE; ++e) {
            Element<real> element = european<real, NORMAL, MOVES>(row, scenario[e], smile, segment[e]);
            pnl.of[e] = (element.gain + (element.time_value - row[REST])) * row[MULTIPLIER];
        }
        if (whole) {
            *reinterpret_cast<Pack<real> *>(out) = pnl;
        } else {
#pragma unroll
            for (int e = 0; e < SIZE; ++e) {
                if (j + e < n) {
                    out[e] = pnl.of[e];
                }
            }
        }
    }
}

template <typename real, bool NORMAL>
__device__ inline void revalue_european(
    const int *tiles, const real *rows, long long n_rows, const int *segment_start, long long n_segments,
    const real *segments, int room, const Scenarios &scenarios,
    long long first, long long n, real *out, real *shared) {
    const int *tile = tiles + (long long)blockIdx.x * (PREMIUM + 1);
    Smile<real> smile = stage(tile, rows, n_rows, segment_start, n_segments, segments, room, shared);
    if (tile[MOVING]) {
        european_tile<real, NORMAL, true>(tile, scenarios, smile, shared, first, n, out);
    } else {
        european_tile<real, NORMAL, false>(tile, scenarios, smile, shared, first, n, out);
    }
}

template <typename real, bool CHEBYSHEV, bool MOVES>
__device__ inline void american_tile(
    const int *tile, const Scenarios &scenarios, const Smile<real> &smile, const Polynomials<real> &polynomials,
    const double *ranges, const real *shared, long long first, long long n, real *out) {
    long long j = (long long)blockIdx.y * LANES + threadIdx.x % LANES;
    // Each warp takes a run of rows, a whole number of groups.
    int warp = threadIdx.x / LANES, warps = THREADS / LANES;
    int groups = (tile[ROWS] + TOGETHER - 1) / TOGETHER;
    int begin = groups * warp / warps * TOGETHER, end = groups * (warp + 1) / warps * TOGETHER;
    if (end > tile[ROWS]) {
        end = tile[ROWS];
    }
    if (j >= n || begin >= end) {
        return;
    }
    int m = tile[MATURITY], sign = tile[SIGN];
    long long at = first + j;
    Scenario<real> scenario = load_scenario<real, false>(scenarios, m, sign, at);
    double spot = scenarios.spot<false>(m, at), fx = scenarios.fx(m, at);
    double spot_today = scenarios.today(SPOT_TODAY, m), fx_today = scenarios.today(FX_TODAY, m);
    Exercise<real> exercise;
    exercise.shape = (real)(0.5 * ranges[0]);
    exercise.offset = (real)(ranges[0] * (log(scenarios.vol_growth(m, at)) - ranges[1]) - 1.0);
    exercise.log_carry = (real)log(spot / scenarios.forward<false>(m, at));
    exercise.by_fx = (real)(sign * (fx - fx_today));
    exercise.by_spot = (real)(sign * (spot * fx - spot_today * fx_today));
    exercise.fx = (real)fx;
    exercise.scale = (real)(spot * fx);
    real per_distance = (real)ranges[2];

    Segment<real> segment;
    Row<real> start = {shared + begin};
    if (MOVES) {
        find_segment(smile, start[MONEYNESS] + scenario.step, segment);
    }
    for (int group = begin; group < end; group += TOGETHER) {
        real t[TOGETHER], y[TOGETHER], hold[TOGETHER], premium[TOGETHER], inverse[TOGETHER];
#pragma unroll
        for (int r = 0; r < TOGETHER; ++r) {
            Row<real> row = {shared + (group + r < end ? group + r : end - 1)};
            Element<real> element = european<real, false, MOVES>(row, scenario, smile, segment);
            hold[r] = element.gain + (element.time_value - row[REST]);
            t[r] = fused(MOVES ? logarithm(element.variance) : row[LOG_VARIANCE], exercise.shape, exercise.offset);
            inverse[r] = element.inverse * per_distance;
            y[r] = exercise.log_carry - element.x;  // ln(S/K)
        }
        real (&boundary)[TOGETHER] = premium;
        const real *c = polynomial<real, CHEBYSHEV>(
            polynomials.coefficient, polynomials.stride, polynomials.boundary, t, boundary);
        bool exercised[TOGETHER];
#pragma unroll
        for (int r = 0; r < TOGETHER; ++r) {
            // Distance from the boundary; of a call, that of the put with spot and strike exchanged.
            real distance = sign < 0 ? y[r] - boundary[r] : -(boundary[r] + y[r]);
            y[r] = at_most(fused(distance, inverse[r], (real)-1), (real)1);
            exercised[r] = y[r] <= -1;
            y[r] = y[r] < -1 ? (real)-1 : y[r];
        }
        surface<real, CHEBYSHEV>(polynomials, c, t, y, premium);
#pragma unroll
        for (int r = 0; r < TOGETHER; ++r) {
            if (group + r < end) {
                Row<real> row = {shared + group + r};
                real strike = row[STRIKE];
                real early = premium[r] < 0 ? (real)0 : premium[r];
                real held = fused(early, sign > 0 ? exercise.scale : strike * exercise.fx, hold[r]);
                real now = row[SPOT_VALUE] + fused(-strike, exercise.by_fx, exercise.by_spot);
                now = now < row[FLOOR] ? row[FLOOR] : now;
                real pnl = exercised[r] || held < now ? now : held;
                out[(tile[FIRST_ROW] + group + r) * n + j] = pnl * row[MULTIPLIER];
            }
        }
    }
}

// A premium's tables: integers (coefficients of ln B, powers of t, powers of y, whether scenarios have their own), the
// place of its coefficients, and 2/ln(high/low), ln(low) of σ, 2/z_max.
template <typename real, bool CHEBYSHEV>
__device__ inline void revalue_american(
    const int *tiles, const real *rows, long long n_rows, const int *segment_start, long long n_segments,
    const real *segments, int room, const Scenarios &scenarios,
    const int *terms, const long long *places, const double *ranges, const real *common, const real *own,
    long long first, long long n, real *out, real *shared) {
    const int *tile = tiles + (long long)blockIdx.x * (PREMIUM + 1);
    Smile<real> smile = stage(tile, rows, n_rows, segment_start, n_segments, segments, room, shared);
    int p = tile[PREMIUM];
    long long j = (long long)blockIdx.y * LANES + threadIdx.x % LANES;
    Polynomials<real> of;
    of.coefficient = terms[4 * p + 3] ? own + places[p] * n + j : common + places[p];
    of.stride = terms[4 * p + 3] ? n : 1;
    of.boundary = terms[4 * p];
    of.vol_terms = terms[4 * p + 1];
    of.distance_terms = terms[4 * p + 2];
    if (tile[MOVING]) {
        american_tile<real, CHEBYSHEV, true>(
            tile, scenarios, smile, of, ranges + 3 * p, shared, first, n, out);
    } else {
        american_tile<real, CHEBYSHEV, false>(
            tile, scenarios, smile, of, ranges + 3 * p, shared, first, n, out);
    }
}

// Coefficients of each scenario from those of the nodes: its own node's, or a weighted sum in the order of the nodes.
template <typename real>
__device__ inline void mix_coefficients(
    const double *coefficients, int n_coefficients, int n_nodes, const long long *node, const double *weights,
    long long first, long long n, real *out) {
    long long j = (long long)blockIdx.x * THREADS + threadIdx.x;
    if (j >= n) {
        return;
    }
    // Several coefficients together, so that a weight is loaded once for all of them.
    int begin = blockIdx.y * TOGETHER;
    double sum[TOGETHER] = {};
    if (node) {
#pragma unroll
        for (int c = 0; c < TOGETHER; ++c) {
            if (begin + c < n_coefficients) {
                sum[c] = coefficients[(long long)(begin + c) * n_nodes + node[first + j]];
            }
        }
    } else {
        for (int i = 0; i < n_nodes; ++i) {
            double weight = weights[(first + j) * n_nodes + i];
#pragma unroll
            for (int c = 0; c < TOGETHER; ++c) {
                int at = begin + c < n_coefficients ? begin + c : n_coefficients - 1;
                sum[c] = fma(weight, coefficients[(long long)at * n_nodes + i], sum[c]);
            }
        }
    }
#pragma unroll
    for (int c = 0; c < TOGETHER; ++c) {
        if (begin + c < n_coefficients) {
            out[(begin + c) * n + j] = (real)sum[c];
        }
    }
}

// Spot, futures, perpetuals and expired options: few rows, always in double.
template <typename real, bool NORMAL>
__device__ inline void revalue_linear(
    const int *table, int n_rows, const double *columns, const Scenarios &scenarios, long long first, long long n,
    real *out) {
    long long j = (long long)blockIdx.x * THREADS + threadIdx.x;
    if (j >= n) {
        return;
    }
    long long at = first + j;
    for (int i = blockIdx.y; i < n_rows; i += gridDim.y) {
        const int *row = table + (CODE + 1LL) * i;
        int m = row[LINEAR_MATURITY], code = row[CODE];
        double price = scenarios.forward<NORMAL>(m, at), fx = scenarios.fx(m, at);  // spot, where nothing expires
        double before = columns[(long long)LINEAR_PRICE * n_rows + i];
        double strike = columns[(long long)LINEAR_STRIKE * n_rows + i];
        double pnl;
        if (code == MARGINED) {
            pnl = fx * (price - before);
        } else if (code == INVERSE) {
            pnl = (1.0 / before - 1.0 / price) * (scenarios.spot<NORMAL>(m, at) * fx);
        } else {
            if (code != CASH) {
                price = code == CALL_EXPIRED ? price - strike : strike - price;
                price = price < 0.0 ? 0.0 : price;
            }
            pnl = price * fx - before * scenarios.today(FX_TODAY, m);
        }
        out[row[LINEAR_ROW] * n + j] = (real)(pnl * columns[(long long)LINEAR_MULTIPLIER * n_rows + i]);
    }
}

#define MARKET                                                                                                      \
    const double *maturities, int n_maturities, const int *shared_row, const double *base, const double *moves,     \
        const double *rates_of_exchange, const double *rates, const double *growths, long long total
#define SCENARIOS {maturities, n_maturities, shared_row, base, moves, rates_of_exchange, rates, growths, total}
#define TABLES(real)                                                                                                \
    const int *tiles, const real *rows, long long n_rows, const int *segment_start, long long n_segments,           \
        const real *segments, int room
#define GIVEN_TABLES tiles, rows, n_rows, segment_start, n_segments, segments, room

#define EUROPEAN(name, real, normal)                                                                                \
    extern "C" __global__ void __launch_bounds__(THREADS, 4)                                                        \
        name(TABLES(real), MARKET, long long first, long long n, real *__restrict__ out) {                          \
        extern __shared__ double memory[];                                                                          \
        Scenarios scenarios = SCENARIOS;                                                                            \
        revalue_european<real, normal>(GIVEN_TABLES, scenarios, first, n, out, (real *)memory);                     \
    }

#define AMERICAN(name, real, chebyshev)                                                                             \
    extern "C" __global__ void __launch_bounds__(THREADS, chebyshev ? 3 : 4) name(                                  \
        TABLES(real), MARKET, const int *terms, const long long *places, const double *ranges, const real *common,  \
        const real *own, long long first, long long n, real *__restrict__ out) {                                    \
        extern __shared__ double memory[];                                                                          \
        Scenarios scenarios = SCENARIOS;                                                                            \
        revalue_american<real, chebyshev>(                                                                          \
            GIVEN_TABLES, scenarios, terms, places, ranges, common, own, first, n, out, (real *)memory);            \
    }

EUROPEAN(revalue_black_double, double, false)
EUROPEAN(revalue_black_float, float, false)
EUROPEAN(revalue_bachelier_double, double, true)
EUROPEAN(revalue_bachelier_float, float, true)
AMERICAN(revalue_american_powers_double, double, false)
AMERICAN(revalue_american_powers_float, float, false)
AMERICAN(revalue_american_chebyshev_double, double, true)
AMERICAN(revalue_american_chebyshev_float, float, true)

#define MIX(name, real)                                                                                             \
    extern "C" __global__ void __launch_bounds__(THREADS) name(                                                     \
        const double *coefficients, int n_coefficients, int n_nodes, const long long *node, const double *weights,  \
        long long first, long long n, real *__restrict__ out) {                                                     \
        mix_coefficients<real>(coefficients, n_coefficients, n_nodes, node, weights, first, n, out);                \
    }

MIX(mix_coefficients_double, double)
MIX(mix_coefficients_float, float)

#define LINEAR(name, real, normal)                                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS) name(                                                     \
        const int *table, int n_rows, const double *columns, MARKET, long long first, long long n,                  \
        real *__restrict__ out) {                                                                                   \
        Scenarios scenarios = SCENARIOS;                                                                            \
        revalue_linear<real, normal>(table, n_rows, columns, scenarios, first, n, out);                             \
    }

LINEAR(revalue_linear_black_double, double, false)
LINEAR(revalue_linear_black_float, float, false)
LINEAR(revalue_linear_bachelier_double, double, true)
LINEAR(revalue_linear_bachelier_float, float, true)

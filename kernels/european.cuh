#pragma once
// A European option in a scenario: its profit and loss from intrinsic value on the forward, and its time value.

#include "black.cuh"
#include "smile.cuh"

constexpr int TILE_ROWS = 64;

// Columns of the tables of `gpu_var.cuda.revalue_tables`.
enum RowColumn {
    MONEYNESS,
    MONEYNESS_LOW,  // what float loses of it
    STRIKE,
    VOL,  // that does not move along the smile, with its inverse and the logarithm of its square
    INVERSE_VOL,
    LOG_VARIANCE,
    FORWARD_VALUE,  // today's forward contract at the strike, in base currency: sign·(F − K)·discount·fx
    REST,           // today's price in base currency less the greater of that and 0
    MULTIPLIER,
    SPOT_VALUE,  // profit and loss of exercise at today's spot
    FLOOR,       // and of abandonment
    ROW_COLUMNS
};
enum MaturityColumn { YEARS, ROOT_YEARS, BASE, FORWARD_TODAY, UNIT_TODAY, SPOT_TODAY, FX_TODAY };

// The market in `total` scenarios, in rows that maturities share (see `Shocks` of cpu_reference/types.py), and today.
struct Scenarios {
    const double *maturities;  // (FX_TODAY + 1, n_maturities)
    int n_maturities;
    const int *row;      // (5, n_maturities): of spot, forward, fx, rate, growth of volatility
    const double *base;  // (3, n_maturities): spot, forward, rate
    const double *moves, *rates_of_exchange, *rates, *growths;
    long long total;

    __device__ inline double today(int column, int m) const { return maturities[column * n_maturities + m]; }
    template <bool NORMAL>
    __device__ inline double spot(int m, long long at) const {
        return moved<NORMAL>(base[m], moves[row[m] * total + at]);
    }
    template <bool NORMAL>
    __device__ inline double forward(int m, long long at) const {
        return moved<NORMAL>(base[n_maturities + m], moves[row[n_maturities + m] * total + at]);
    }
    __device__ inline double fx(int m, long long at) const {
        return rates_of_exchange[row[2 * n_maturities + m] * total + at];
    }
    __device__ inline double rate(int m, long long at) const {
        return base[2 * n_maturities + m] + rates[row[3 * n_maturities + m] * total + at];
    }
    __device__ inline double vol_growth(int m, long long at) const {
        return growths[row[4 * n_maturities + m] * total + at];
    }

private:
    template <bool NORMAL>
    __device__ static inline double moved(double level, double by) {
        return NORMAL ? level + by : level * by;
    }
};

// One scenario at one maturity. `unit` is the base currency for one of quote currency paid at expiry: discount × fx.
template <typename real>
struct Scenario {
    real step, step_low;        // added to moneyness
    real root, inverse_root;    // vol growth × √T
    real square;
    real unit, forward;         // the unit, and the forward in it
    real by_unit, by_forward;   // their changes since today, times the sign
};

template <typename real, bool NORMAL>
__device__ inline Scenario<real> load_scenario(const Scenarios &s, int m, int sign, long long at) {
    double base = s.today(BASE, m);
    double forward = s.forward<NORMAL>(m, at);
    double unit = exp(-s.rate(m, at) * s.today(YEARS, m)) * s.fx(m, at);
    double step = NORMAL ? base - forward : log(base / forward);
    double root = s.vol_growth(m, at) * s.today(ROOT_YEARS, m);
    double unit_today = s.today(UNIT_TODAY, m);
    double forward_today = s.today(FORWARD_TODAY, m);
    Scenario<real> out;
    out.step = (real)step;
    out.step_low = (real)(step - (double)out.step);
    out.root = (real)root;
    out.inverse_root = (real)(1.0 / root);
    out.square = (real)(root * root);
    out.unit = (real)unit;
    out.forward = (real)(forward * unit);
    out.by_unit = (real)(sign * (unit - unit_today));
    out.by_forward = (real)(sign * (forward * unit - forward_today * unit_today));
    return out;
}

// A row of the table, as the threads of a block read it from shared memory.
template <typename real>
struct Row {
    const real *column;
    __device__ inline real operator[](int name) const { return column[name * TILE_ROWS]; }
};

// What European pricing leaves for the American part.
template <typename real>
struct Element {
    real x;           // ln(K/F), or K − F
    real inverse;     // 1/s
    real variance;    // σ² before growth, where the smile moves
    real gain;        // of intrinsic value, on the forward
    real time_value;  // in base currency
};

template <typename real, bool NORMAL, bool MOVES>
__device__ inline Element<real> european(
    const Row<real> &row, const Scenario<real> &scenario, const Smile<real> &smile, Segment<real> &segment) {
    Element<real> out;
    real strike = row[STRIKE];
    real low = sizeof(real) == 4 ? row[MONEYNESS_LOW] + scenario.step_low : (real)0;
    real x = out.x = row[MONEYNESS] + scenario.step + low;
    real s;
    if (MOVES) {
        out.variance = smile_variance(smile, x, segment);
        real squared = out.variance * scenario.square;
        out.inverse = inverse_root(squared);
        s = squared * out.inverse;
    } else {
        out.variance = 0;
        s = row[VOL] * scenario.root;
        out.inverse = row[INVERSE_VOL] * scenario.inverse_root;
    }
    real m = magnitude(x) * out.inverse;
    if (NORMAL) {
        out.time_value = scenario.unit * s * bachelier_time_value(m);
    } else {
        out.time_value = black_time_value(m, s, x > 0 ? scenario.forward : strike * scenario.unit);
    }
    real change = fused(-strike, scenario.by_unit, scenario.by_forward);
    real before = row[FORWARD_VALUE];
    real after = before + change;
    if (before > 0) {
        out.gain = after > 0 ? change : -before;
    } else {
        out.gain = after > 0 ? after : (real)0;
    }
    return out;
}

#pragma once
// Early-exercise premiums from the polynomials of `cpu_reference.premium`, for several rows of one scenario at a time.
//
// Coefficients stand in the order of evaluation: those of ln B from the highest power of t down, then for each power
// of y from the highest down those of t. Where all scenarios share them a load is a broadcast; else each scenario has
// a column of its own, neighbours side by side. Either way one load serves all rows of the thread.

// Rows that a thread carries through the polynomials together.
constexpr int TOGETHER = 4;

template <typename real>
struct Polynomials {
    const real *coefficient;  // of this scenario
    long long stride;         // from one coefficient to the next
    int boundary;             // coefficients of ln B
    int vol_terms;            // coefficients of P: powers of t, and of y
    int distance_terms;
};

// Σ c_j·f_j(t) of each row: f_j are powers (Horner), or Chebyshev polynomials (Clenshaw).
template <typename real, bool CHEBYSHEV>
__device__ inline const real *polynomial(
    const real *c, long long stride, int terms, const real (&t)[TOGETHER], real (&value)[TOGETHER]) {
    if (CHEBYSHEV) {
        real after[TOGETHER];
        for (int r = 0; r < TOGETHER; ++r) {
            value[r] = after[r] = 0;
        }
        for (int j = terms - 1; j > 0; --j, c += stride) {
            real next = *c;
#pragma unroll
            for (int r = 0; r < TOGETHER; ++r) {
                real sum = fused(2 * t[r], value[r], next - after[r]);
                after[r] = value[r];
                value[r] = sum;
            }
        }
        real last = *c;
#pragma unroll
        for (int r = 0; r < TOGETHER; ++r) {
            value[r] = fused(t[r], value[r], last - after[r]);
        }
        return c + stride;
    }
    real first = *c;
#pragma unroll
    for (int r = 0; r < TOGETHER; ++r) {
        value[r] = first;
    }
    c += stride;
#pragma unroll 4
    for (int j = 1; j < terms; ++j, c += stride) {
        real next = *c;
#pragma unroll
        for (int r = 0; r < TOGETHER; ++r) {
            value[r] = fused(value[r], t[r], next);
        }
    }
    return c;
}

// P of each row at (y, t); c points behind the coefficients of ln B.
template <typename real, bool CHEBYSHEV>
__device__ inline void surface(
    const Polynomials<real> &of, const real *c, const real (&t)[TOGETHER], const real (&y)[TOGETHER],
    real (&value)[TOGETHER]) {
    real after[TOGETHER], inner[TOGETHER];
#pragma unroll
    for (int r = 0; r < TOGETHER; ++r) {
        value[r] = after[r] = 0;
    }
    for (int i = of.distance_terms - 1; i >= 0; --i) {
        c = polynomial<real, CHEBYSHEV>(c, of.stride, of.vol_terms, t, inner);
#pragma unroll
        for (int r = 0; r < TOGETHER; ++r) {
            if (CHEBYSHEV) {
                real slope = i > 0 ? 2 * y[r] : y[r];
                real sum = fused(slope, value[r], inner[r] - after[r]);
                after[r] = value[r];
                value[r] = sum;
            } else {
                value[r] = fused(value[r], y[r], inner[r]);
            }
        }
    }
}

#pragma once
// Reading a smile: σ² on a piecewise quadratic of moneyness (see `cpu_reference.smile`).
//
// A thread keeps its scenario and walks down strikes that ascend, so that it only ever moves on to the next segment:
// one comparison an element, and the coefficients stay in registers until a knot is passed.

// The segments of one maturity, columns one after another: left knot, then the coefficients of 1, t, t².
template <typename real>
struct Smile {
    const real *left;
    long long stride;
    int count;
};

template <typename real>
struct Segment {
    int at;
    real left, next, c0, c1, c2;
};

template <typename real>
__device__ inline void load_segment(const Smile<real> &smile, int at, Segment<real> &segment) {
    const real *c = smile.left + at;
    segment.at = at;
    segment.left = c[0];
    segment.c0 = c[smile.stride];
    segment.c1 = c[2 * smile.stride];
    segment.c2 = c[3 * smile.stride];
    segment.next = at + 1 < smile.count ? c[1] : c[0];  // of the last segment, never used
}

// The segment of the first element, by bisection.
template <typename real>
__device__ inline void find_segment(const Smile<real> &smile, real x, Segment<real> &segment) {
    int low = 0, high = smile.count - 1;
    while (low < high) {
        int middle = (low + high + 1) >> 1;
        if (x >= smile.left[middle]) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    load_segment(smile, low, segment);
}

// σ² at x, which is no less than at the last call.
template <typename real>
__device__ inline real smile_variance(const Smile<real> &smile, real x, Segment<real> &segment) {
    while (segment.at + 1 < smile.count && x >= segment.next) {
        load_segment(smile, segment.at + 1, segment);
    }
    real t = x - segment.left;
    return fused(fused(segment.c2, t, segment.c1), t, segment.c0);
}

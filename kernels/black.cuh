#pragma once
// Time values of European options, Black (1976) and Bachelier (1900), from one exponential and one division.
//
// An option is worth its intrinsic value and the price of the one out of the money at the same strike. With s = σ√T,
// m = |x|/s, u = m − s/2 and v = m + s/2, where x = ln(K/F), the latter is
//     min(F, K)·φ(u)·(R(u) − R(v)),   R(a) = N(−a)/φ(a) (Mills' ratio),
// because F·φ(d₁) = K·φ(d₂): φ serves both normal distribution functions, and R is a rational function, so that one
// division does for both. Bachelier's, with m = |K − F|/s, is s·φ(m)·(1 − m·R(m)).
//
// The ratios below are minimax fits (Lawson's iteration at 45 digits), all coefficients positive, so that Horner's rule
// loses nothing: double, degrees 8/9, error of R at most 1e-15 up to 60 (and 3e-14 beyond); float, 4/5, at most
// 8e-9 on [−½, 4) and 8e-8 beyond. R(v) needs that beyond where φ(v) matters: it is multiplied by φ(u).

constexpr double FARTHEST = 37.0;        // φ is below 1e-297 there: it keeps what follows in range
constexpr float FARTHEST_FLOAT = 12.5f;  // φ is below 1e-34

// Coefficients from the highest power down. In constant memory, from where an operation takes them at no cost; a double
// written in the code is two instructions more.
__constant__ double MILLS_ABOVE[9] = {
    1.9070788571783131e-05, 0.0004424839253501063, 0.0049914381837862414, 0.035199687828025204,
    0.16850126308950486, 0.5596235428762486, 1.2634550072396313, 1.7914002785838807,
    1.2533141373155012};
__constant__ double MILLS_BELOW[10] = {
    1.9070788571147744e-05, 0.00044248392548109684, 0.00501050896077921, 0.035642172341802357,
    0.17345454019079073, 0.59393871701705026, 1.4221562953711577, 2.2851518534803024,
    2.2272151853030349, 1.0};
__constant__ double DENSITY[11] = {  // exp(r)/√(2π), |r| ≤ ln(2)/2
    1.09662965619926386e-7, 1.1026678733818261e-6,  9.89453365457433053e-6, 7.91548214221252181e-5,
    5.54086484999254024e-4, 3.32451902383619035e-3, 1.66225950174288131e-2, 6.64903800664705504e-2,
    0.199471140200705505,   0.398942280401435251,   0.398942280401432704};
__constant__ double LOG2_HALF[3] = {-0.72134752044448170368, -0.69314718055994530942, 6755399441055744.0};

// Names that take either type.
__device__ inline double fused(double a, double b, double c) { return fma(a, b, c); }
__device__ inline float fused(float a, float b, float c) { return fmaf(a, b, c); }
__device__ inline double magnitude(double a) { return fabs(a); }
__device__ inline float magnitude(float a) { return fabsf(a); }
__device__ inline double inverse_root(double a) { return rsqrt(a); }
__device__ inline float inverse_root(float a) { return rsqrtf(a); }
__device__ inline double logarithm(double a) { return log(a); }
__device__ inline float logarithm(float a) { return logf(a); }

// The lesser of a and a bound; a where it is not a number.
__device__ inline double at_most(double a, double bound) { return a > bound ? bound : a; }
__device__ inline float at_most(float a, float bound) { return a > bound ? bound : a; }

union Bits {
    double value;
    unsigned long long bits;
};

// φ(u) for |u| ≤ 37, error 3e-16 of φ(0): 2ⁿ times a minimax polynomial of degree 10 for exp on ±ln(2)/2.
__device__ inline double density(double u) {
    double square = u * u;
    Bits n, power;
    n.value = fma(square, LOG2_HALF[0], LOG2_HALF[2]);  // 1.5·2⁵² and a small number: that, rounded, in the low bits
    double r = fma(n.value - LOG2_HALF[2], LOG2_HALF[1], -0.5 * square);
    double p = DENSITY[0];
#pragma unroll
    for (int i = 1; i < 10; ++i) {
        p = fma(p, r, DENSITY[i]);
    }
    power.value = fma(p, r, DENSITY[10]);
    power.bits += n.bits << 52;
    return power.value;
}

__device__ inline float density(float u) { return 0.39894228f * exp2f(-0.72134752f * u * u); }

// R = P/Q for a ≥ 0.
__device__ inline double mills_above(double a) {
    double p = MILLS_ABOVE[0];
#pragma unroll
    for (int i = 1; i < 9; ++i) {
        p = fma(p, a, MILLS_ABOVE[i]);
    }
    return p;
}

__device__ inline double mills_below(double a) {
    double q = MILLS_BELOW[0];
#pragma unroll
    for (int i = 1; i < 10; ++i) {
        q = fma(q, a, MILLS_BELOW[i]);
    }
    return q;
}

__device__ inline float mills_above(float a) {
    float p = 0.00743661049302f;
    p = fmaf(p, a, 0.0824510552506f);
    p = fmaf(p, a, 0.402035971305f);
    p = fmaf(p, a, 1.02233189909f);
    return fmaf(p, a, 1.25331413013f);
}

__device__ inline float mills_below(float a) {
    float q = 0.00743645638893f;
    q = fmaf(q, a, 0.0824622557403f);
    q = fmaf(q, a, 0.409197556796f);
    q = fmaf(q, a, 1.10823451911f);
    q = fmaf(q, a, 1.61358739344f);
    return fmaf(q, a, 1.0f);
}

// Undiscounted price, in units of whatever `lesser` = min(F, K) is in, of the lognormal option out of the money.
__device__ inline double black_time_value(double m, double s, double lesser) {
    double u = at_most(fma(-0.5, s, m), FARTHEST);
    double v = u + s;
    double w = fabs(u);
    bool inside = u < 0.0;  // |ln(K/F)| < s²/2: R(u) = 1/φ(u) − R(−u)
    double above_w = mills_above(w), below_w = mills_below(w);
    double above_v = mills_above(v), below_v = mills_below(v);
    double ratio = fma(inside ? above_v : -above_v, below_w, above_w * below_v) / (below_w * below_v);
    double part = lesser * density(u) * ratio;
    return inside ? lesser - part : part;
}

// The same in float. R(u) − R(v) would keep few digits where s is small: there it is v − u times a divided difference.
__device__ inline float black_time_value(float m, float s, float lesser) {
    float u = at_most(fmaf(-0.5f, s, m), FARTHEST_FLOAT);
    float v = u + s;
    bool inside = u < -0.5f;
    float w = inside ? -u : u;
    // Horner's rule at v; its partial results are the coefficients of the difference [w, v].
    float p = 0.00743661049302f;
    float dp = p;
    p = fmaf(p, v, 0.0824510552506f);
    dp = fmaf(dp, w, p);
    p = fmaf(p, v, 0.402035971305f);
    dp = fmaf(dp, w, p);
    p = fmaf(p, v, 1.02233189909f);
    dp = fmaf(dp, w, p);
    p = fmaf(p, v, 1.25331413013f);
    float q = 0.00743645638893f;
    float dq = q;
    q = fmaf(q, v, 0.0824622557403f);
    dq = fmaf(dq, w, q);
    q = fmaf(q, v, 0.409197556796f);
    dq = fmaf(dq, w, q);
    q = fmaf(q, v, 1.10823451911f);
    dq = fmaf(dq, w, q);
    q = fmaf(q, v, 1.61358739344f);
    dq = fmaf(dq, w, q);
    q = fmaf(q, v, 1.0f);
    float below_w = mills_below(w);
    float apart = s * fmaf(p, dq, -dp * q);
    float whole = fmaf(mills_above(w), q, (inside ? p : -p) * below_w);
    float part = __fdividef(lesser * density(u), below_w * q) * (s < 1.0f && !inside ? apart : whole);
    return inside ? lesser - part : part;
}

// Undiscounted price over s of the normal option out of the money.
__device__ inline double bachelier_time_value(double m) {
    m = at_most(m, FARTHEST);
    double below = mills_below(m);
    return density(m) * (fma(-m, mills_above(m), below) / below);
}

__device__ inline float bachelier_time_value(float m) {
    m = at_most(m, FARTHEST_FLOAT);
    float below = mills_below(m);
    return density(m) * __fdividef(fmaf(-m, mills_above(m), below), below);
}

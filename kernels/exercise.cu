// Exercise boundaries of American puts of strike 1, and Kim's integral over them: twin of cpu_reference/boundary.py and
// cpu_reference/exercise.py, where the formulas and their sources stand.
//
// `solve_boundary`, a block a put, n = degree, p = points. Work of a Newton step: n·p integrand values of some 120
// float64 operations, 2·n²·p multiplications and additions for the boundary there and for the Jacobian, n³/2 for the
// linear system; 5 to 8 steps. Bytes it cannot avoid: 32 for a put and 8 for each node of its boundary; the two
// matrices, 8·n²·p each (16 KB to 4 MB), stay in L1 or L2.
// `integrate`, a block a put and up to blockDim.x of its spots. Work: some 95 float64 operations for each (spot, node of
// the quadrature), n multiplications and additions for each (put, node). Bytes: 16 a spot, 40 + 8·n a put.
// `integrate_greeks` adds 6 operations and 16 bytes, for the density is there already.
// What binds, by this count (not measured): float64 arithmetic in both, and in `solve_boundary` the latency of the
// barriers, one a column of the system.
//
// Every sum has a fixed order. NaNs go through: comparisons are written so that they keep them.

#include "black.cuh"

namespace {

constexpr int UPPER = 1, LOWER = -1;
constexpr int STEPS = 20;
constexpr double SETTLED = 1e-6;
constexpr double FLOOR = 1e-18;  // of h²
constexpr double PI = 3.14159265358979323846;
constexpr int STAGE = 128;  // nodes in shared memory at a time

__device__ __forceinline__ double at_least(double a, double bound) { return a < bound ? bound : a; }

struct Put {
    double rate, dividend, vol, years;
    int side;

    // ln of the boundary at expiry.
    __device__ __forceinline__ double start() const {
        return dividend > rate || side == LOWER ? log(fabs(rate / dividend)) : 0.0;
    }
};

__device__ __forceinline__ Put put_of(const double* __restrict__ puts, int n_puts, int side) {
    const int b = blockIdx.x;
    return {puts[b], puts[n_puts + b], puts[2 * n_puts + b], puts[3 * n_puts + b], side};
}

// φ(d) and N(d) from one exponential; φ = 0 where it is below 1e-297.
struct Normal {
    double density, below;
};

__device__ __forceinline__ Normal normal(double d) {
    const double far = fabs(d);
    const double w = at_most(far, FARTHEST);
    const double phi = far > FARTHEST ? 0.0 : density(w);
    const double tail = phi * (mills_above(w) / mills_below(w));
    return {phi, d > 0.0 ? 1.0 - tail : tail};
}

// h at a node √(u/τ): the short-dated asymptote bent to the perpetual one.
__device__ double first_guess(const Put& put, double start, double node) {
    const double rate = put.rate, dividend = put.dividend, vol = put.vol, side = put.side;
    const double deviation = vol * sqrt(put.years) * node;
    const double years = put.years * node * node;
    const double exponent = (rate - dividend) / (vol * vol) - 0.5;
    const double discriminant = exponent * exponent + 2.0 * rate / (vol * vol);
    const double root = exponent + side * sqrt(at_least(discriminant, 0.0));
    const bool paid = rate < 0.0;  // two boundaries, each at most half-way to the other
    double limit = paid ? exp(start + side * 0.5 * log(fabs(rate / dividend))) : 0.0;
    if (discriminant >= 0.0 && root >= 0.0) limit = root / (1.0 + root);
    const double first = exp(start);
    const double distance = at_least(side * (first - limit), 1e-12 * first);
    const double tilt = (rate - dividend) / vol, interest = rate * years;
    const double slow = tilt * tilt * 8.0 * PI * years + 16.0 * PI * interest * interest;
    const bool at_strike = dividend <= rate && put.side == UPPER;
    const double pace = at_strike ? sqrt(at_least(-log(slow + 1e-300), 0.4)) : 0.64;
    const double guess = first + side * distance * expm1(-deviation * pace * first / distance);
    return at_least(fabs(log(at_least(guess, 1e-300)) - start), 1e-6 * deviation);
}

// One put's collocation equations. A row of the system is its Jacobian by h² (degree), its residual and ∂/∂h.
struct Equations {
    int degree, points;
    const double* __restrict__ node;       // (degree,) √(u/τ)
    const double* __restrict__ rule;       // (2, points) sin θ, cos θ times the weight
    const double* __restrict__ by_point;   // (degree, degree, points) node, coefficient, point
    const double* __restrict__ by_degree;  // (degree, points, degree) node, point, coefficient
    double *system, *squared, *roots, *moved, *scratch;
    int* pivot;

    __device__ __forceinline__ Equations(int degree, int points, const double* node, const double* rule,
                                         const double* by_point, const double* by_degree, double* shared)
        : degree(degree), points(points), node(node), rule(rule), by_point(by_point), by_degree(by_degree),
          system(shared), squared(system + degree * (degree + 2)), roots(squared + degree), moved(roots + degree),
          scratch(moved + degree), pivot(reinterpret_cast<int*>(scratch + blockDim.x / 32 * 3 * points)) {}

    __device__ __forceinline__ double& at(int row, int column) const { return system[row * (degree + 2) + column]; }

    // Integrand at the points of node j: its slopes by the boundary there and by h, and itself.
    __device__ __forceinline__ void integrand(const Put& put, double start, int j, double* slopes) const {
        const double root_years = node[j] * sqrt(put.years);
        const double side = put.side, h = sqrt(squared[j]);
        for (int i = threadIdx.x % 32; i < points; i += 32) {
            const double root_elapsed = root_years * rule[i];
            const double spread = put.vol * root_elapsed;
            const double slide =
                side * ((put.rate - put.dividend) * root_elapsed * root_elapsed + 0.5 * spread * spread);
            const double growth = exp(-put.dividend * root_elapsed * root_elapsed) * rule[points + i];
            double past = 0.0;
            const double* row = by_point + static_cast<long long>(j) * degree * points + i;
#pragma unroll 4
            for (int k = 0; k < degree; ++k) past = fma(squared[k], row[k * points], past);
            const double apart = past > FLOOR ? 1.0 : 0.0;
            past = sqrt(at_least(past, FLOOR));
            const double d = (past - h + slide) / spread;
            const Normal n = normal(d);
            const double density = n.density * growth * (2.0 * root_years / put.vol);
            const double cost = put.rate * exp(side * past - start);
            const double pull = density * (put.dividend - cost);
            const double slope = density * put.dividend - side * d * pull / spread;
            slopes[i] = apart * (slope - density * cost) / (2.0 * past);
            slopes[points + i] = side * pull + growth * (2.0 * put.dividend * root_years) * root_elapsed * n.below;
            slopes[2 * points + i] = -slope;
        }
    }

    // The system at `squared`; whether all of it is finite.
    __device__ __forceinline__ bool evaluate(const Put& put, double start) const {
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        double* slopes = scratch + warp * 3 * points;
        int lost = 0;
        for (int j = warp; j < degree; j += blockDim.x / 32) {
            integrand(put, start, j, slopes);
            __syncwarp();
            for (int k = lane; k < degree + 2; k += 32) {
                double sum = 0.0;
                if (k < degree) {
                    const double* row = by_degree + static_cast<long long>(j) * points * degree + k;
#pragma unroll 4
                    for (int i = 0; i < points; ++i) sum = fma(slopes[i], row[i * degree], sum);
                } else {
                    const double* column = slopes + (k - degree + 1) * points;
#pragma unroll 4
                    for (int i = 0; i < points; ++i) sum += column[i];
                }
                at(j, k) = sum;
                lost |= !isfinite(sum);
            }
            __syncwarp();  // the slopes have been read
        }
        __syncthreads();
        for (int j = threadIdx.x; j < degree; j += blockDim.x) {
            double residual = at(j, degree), local = at(j, degree + 1);
            const double h = sqrt(squared[j]);
            if (put.side == UPPER) {  // the kink of the payoff at the strike
                const double root_years = node[j] * sqrt(put.years);
                const double deviation = put.vol * root_years;
                const double discount = exp(-put.dividend * root_years * root_years);
                const double drift = (put.rate - put.dividend) * root_years * root_years;
                const Normal n = normal((start - h + drift) / deviation + 0.5 * deviation);
                residual += discount * n.below;
                local -= discount * n.density / deviation;
            }
            at(j, degree) = residual;
            const double diagonal = at(j, j) + local / (2.0 * h);
            at(j, j) = diagonal;
            lost |= !isfinite(residual) || !isfinite(diagonal);
        }
        return !__syncthreads_or(lost);
    }

    // Gauss–Jordan with partial pivoting; rows stay where they are. False where a column has no pivot.
    // Every thread finds the pivots by itself, from numbers that nobody writes meanwhile: one barrier a column.
    __device__ __forceinline__ bool eliminate() const {
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        unsigned long long used = 0;
        for (int c = 0; c < degree; ++c) {
            int row = -1;
            double largest = 0.0;
            for (int r = 0; r < degree; ++r) {
                const double size = fabs(at(r, c));
                if (size > largest && !(used >> r & 1)) {
                    largest = size;
                    row = r;
                }
            }
            if (row < 0) return false;
            used |= 1ULL << row;
            if (threadIdx.x == 0) pivot[c] = row;
            for (int r = warp; r < degree; r += blockDim.x / 32) {
                if (r == row) continue;
                const double factor = at(r, c) / at(row, c);
                for (int k = c + 1 + lane; k <= degree; k += 32) at(r, k) = fma(-factor, at(row, k), at(r, k));
            }
            __syncthreads();
        }
        return true;
    }

    // Adds a little to the diagonal of a singular system.
    __device__ void shift() const {
        double largest = 0.0;
        for (int r = 0; r < degree; ++r) {
            for (int k = 0; k < degree; ++k) largest = at_least(largest, fabs(at(r, k)));
        }
        __syncthreads();
        for (int j = threadIdx.x; j < degree; j += blockDim.x) at(j, j) += 1e-14 * largest;
        __syncthreads();
    }

    // The corrections of a solved system, limited, taken; whether they are negligible.
    __device__ __forceinline__ bool correct() const {
        for (int j = threadIdx.x; j < degree; j += blockDim.x) {
            const double before = squared[j];
            const double wanted = before - at(pivot[j], degree) / at(pivot[j], j);
            squared[j] = at_most(at_least(wanted, before / 4.0), before * 4.0);
            roots[j] = sqrt(before);
            moved[j] = fabs(sqrt(squared[j]) - roots[j]);
        }
        __syncthreads();
        double most = 0.0, furthest = 0.0;
        for (int j = 0; j < degree; ++j) {
            if (moved[j] > most || moved[j] != moved[j]) most = moved[j];
            furthest = at_least(furthest, roots[j]);
        }
        return most < SETTLED * (1.0 + furthest);
    }
};

// What a node of the quadrature contributes at x: see `integrate`.
struct Stage {
    double boundary[STAGE], spread[STAGE], per_spread[STAGE], drift[STAGE];
    double interest[STAGE];   // r·e^(−rw) du
    double dividends[STAGE];  // q·e^(−qw) du
    double cost[STAGE];       // (q − r/B)·e^(−qw) du / spread; with Greeks
};

// Sums over a put's nodes, and what several threads of a spot have of them.
struct Sums {
    double received = 0.0, forgone = 0.0;
    double kink = 0.0, bend = 0.0;  // Σ φ·cost, and what gamma is made of; with Greeks
};

struct Parts {
    double premium[STAGE], delta[STAGE], gamma[STAGE];
};

// Adds one boundary's part of the premium, and of its derivatives by S/K.
template <bool GREEKS>
__device__ __forceinline__ void add_integral(
    const double* __restrict__ puts, int n_puts, int side, int degree, int nodes, const double* __restrict__ rule,
    const double* __restrict__ matrix, const double* __restrict__ squared, const double* __restrict__ x, int n_spots,
    double* __restrict__ premium, double* __restrict__ delta, double* __restrict__ gamma, Stage& stage, Parts& parts) {
    const Put put = put_of(puts, n_puts, side);
    const double horizon = puts[4 * n_puts + blockIdx.x];
    const double start = put.start();
    const double* __restrict__ curve = squared + static_cast<long long>(blockIdx.x) * degree;

    // Threads are spots; where these are few, several share one, and its nodes in turn.
    const int thread = threadIdx.x, threads = blockDim.x;
    const int begin = blockIdx.y * threads;
    const int spots = n_spots - begin < threads ? n_spots - begin : threads;
    const int shares = threads / spots;
    const int share = thread / spots;
    const long long own = static_cast<long long>(blockIdx.x) * n_spots + begin + thread % spots;
    const double spot = x[own];
    Sums sums;

    for (int from = 0; from < nodes; from += STAGE) {
        const int count = nodes - from < STAGE ? nodes - from : STAGE;
        __syncthreads();  // the previous stage has been read
        for (int i = thread; i < count; i += threads) {
            const double sine = rule[from + i];
            double h = 0.0;
#pragma unroll 4
            for (int k = 0; k < degree; ++k) h = fma(curve[k], matrix[k * nodes + from + i], h);
            const double elapsed = put.years - horizon + horizon * sine * sine;
            const double width = 2.0 * horizon * sine * rule[nodes + from + i];
            const double spread = put.vol * sqrt(elapsed);
            const double boundary = start - side * sqrt(at_least(h, 0.0));
            const double discount = exp(-put.dividend * elapsed) * width;
            stage.boundary[i] = boundary;
            stage.spread[i] = spread;
            stage.per_spread[i] = 1.0 / spread;
            stage.drift[i] = ((put.rate - put.dividend) * elapsed + 0.5 * spread * spread) / spread;
            stage.interest[i] = put.rate * exp(-put.rate * elapsed) * width;
            stage.dividends[i] = put.dividend * discount;
            if (GREEKS) stage.cost[i] = (put.dividend - put.rate * exp(-boundary)) * discount / spread;
        }
        __syncthreads();
        if (share >= shares) continue;
        for (int i = share; i < count; i += shares) {
            const double per_spread = stage.per_spread[i];
            const double d = (spot - stage.boundary[i]) * per_spread + stage.drift[i];
            const Normal above = normal(-d);
            sums.received = fma(normal(stage.spread[i] - d).below, stage.interest[i], sums.received);
            sums.forgone = fma(above.below, stage.dividends[i], sums.forgone);
            if (GREEKS) {
                const double weighted = above.density * stage.cost[i];
                sums.kink += weighted;
                const double slope = above.density * stage.dividends[i] - d * weighted;
                sums.bend = fma(slope, per_spread, sums.bend);
            }
        }
    }
    const double moneyness = exp(spot);
    parts.premium[thread] = sums.received - moneyness * sums.forgone;
    if (GREEKS) {
        parts.delta[thread] = sums.kink - sums.forgone;
        parts.gamma[thread] = sums.bend / moneyness;
    }
    __syncthreads();
    if (thread >= spots) return;
    const auto add = [&](const double* part, double* to) {
        double sum = 0.0;
        for (int s = 0; s < shares; ++s) sum += part[s * spots + thread];
        to[own] += side * sum;
    };
    add(parts.premium, premium);
    if (GREEKS) {
        add(parts.delta, delta);
        add(parts.gamma, gamma);
    }
}

}  // namespace

// h² of one boundary of each put. Grid: (puts); blockDim.x a multiple of 32. Dynamic shared memory: degree·(degree + 5)
// and 3·points a warp doubles, and degree ints. degree: at most 64.
// puts: (4, n_puts) rate, dividend, vol, years. guess: (n_puts, degree) h², not finite where not known, or null.
// squared: (n_puts, degree). converged: (n_puts,) 0 or 1. The rest: see Equations.
extern "C" __global__ void __launch_bounds__(128, 4) solve_boundary(
    const double* __restrict__ puts, int n_puts, int side, int degree, int points, const double* __restrict__ node,
    const double* __restrict__ rule, const double* __restrict__ by_point, const double* __restrict__ by_degree,
    const double* __restrict__ guess, double* __restrict__ squared, int* __restrict__ converged) {
    extern __shared__ double shared[];
    const Equations of(degree, points, node, rule, by_point, by_degree, shared);
    const Put put = put_of(puts, n_puts, side);
    const double start = put.start();
    const long long first = static_cast<long long>(blockIdx.x) * degree;
    for (int j = threadIdx.x; j < degree; j += blockDim.x) {
        const double known = guess ? guess[first + j] : 0.0;
        const double h = first_guess(put, start, node[j]);
        of.squared[j] = isfinite(known) && known > 0.0 ? known : h * h;
    }
    __syncthreads();
    bool settled = false;
    for (int step = 0; step < STEPS && !settled; ++step) {
        if (!of.evaluate(put, start)) break;
        if (!of.eliminate()) {
            __syncthreads();
            of.evaluate(put, start);
            of.shift();
            if (!of.eliminate()) break;
        }
        settled = of.correct();
    }
    for (int j = threadIdx.x; j < degree; j += blockDim.x) squared[first + j] = of.squared[j];
    if (threadIdx.x == 0) converged[blockIdx.x] = settled;
}

// Adds one boundary's part of the premium. Grid: (puts, ranges of blockDim.x spots); blockDim.x is at most STAGE.
// puts: (5, n_puts) rate, dividend, vol, years, horizon. rule: (2, nodes) sin θ, cos θ times the weight.
// matrix: (degree, nodes) from h² to h² at the nodes. squared: (n_puts, degree). x, premium: (n_puts, n_spots).
extern "C" __global__ void __launch_bounds__(STAGE, 4) integrate(
    const double* __restrict__ puts, int n_puts, int side, int degree, int nodes, const double* __restrict__ rule,
    const double* __restrict__ matrix, const double* __restrict__ squared, const double* __restrict__ x, int n_spots,
    double* __restrict__ premium) {
    __shared__ Stage stage;
    __shared__ Parts parts;
    add_integral<false>(puts, n_puts, side, degree, nodes, rule, matrix, squared, x, n_spots, premium, nullptr, nullptr,
                        stage, parts);
}

// Likewise, and of its first two derivatives by S/K; delta, gamma: (n_puts, n_spots).
extern "C" __global__ void __launch_bounds__(STAGE, 4) integrate_greeks(
    const double* __restrict__ puts, int n_puts, int side, int degree, int nodes, const double* __restrict__ rule,
    const double* __restrict__ matrix, const double* __restrict__ squared, const double* __restrict__ x, int n_spots,
    double* __restrict__ premium, double* __restrict__ delta, double* __restrict__ gamma) {
    __shared__ Stage stage;
    __shared__ Parts parts;
    add_integral<true>(puts, n_puts, side, degree, nodes, rule, matrix, squared, x, n_spots, premium, delta, gamma,
                       stage, parts);
}

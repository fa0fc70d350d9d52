// The tail of each row of losses: exact order statistics by radix selection, the excess over VaR, the worst loss and its scenario.
//
// Work: some 40 integer instructions a loss; no sort, and float64 arithmetic only for the losses beyond VaR.
// Bytes it cannot avoid: 8 a loss. `tail_staged` reads a row once and keeps its keys in shared memory; `tail_streamed`, for rows too long
// for that, reads it four times (two digits, the few candidates, the excess), from L2 where the rows in flight fit in it.
// What binds, by this count (not measured): DRAM for staged rows, closely followed by instruction issue; DRAM or L2 for streamed ones.
//
// One block measures one row. A loss becomes a 64-bit integer of the same order, −0 as 0 and NaN as the greatest. Digits of 11 bits are
// counted from the top until few losses share the leading digits of each order statistic; among these it is found by counting.

namespace {

using Key = unsigned long long;

constexpr int BITS = 11;  // of a digit
constexpr int BINS = 1 << BITS;
constexpr int GROUP = 32;  // bins that are summed before the walk
constexpr int GROUPS = BINS / GROUP;
constexpr int RANKS = 3;  // order statistics, the worst first
constexpr int FEW = 256;
constexpr int LANES = 1024;  // partial sums: cpu_reference/tail.py

__device__ __forceinline__ Key key_of(double loss) {
    if (loss != loss) return ~Key{0};
    const long long bits = __double_as_longlong(loss + 0.0);
    return static_cast<Key>(bits) ^ (bits < 0 ? ~Key{0} : Key{1} << 63);
}

__device__ __forceinline__ double loss_of(Key key) {
    return __longlong_as_double(static_cast<long long>(key ^ (key >> 63 ? Key{1} << 63 : ~Key{0})));
}

// Where a pass finds a row's keys: in global memory, there for the last time, in shared memory.
struct Streamed {
    const double* __restrict__ losses;
    __device__ __forceinline__ double load(int i) const { return losses[i]; }
    __device__ __forceinline__ Key key(int, double loss) const { return key_of(loss); }
};

struct Staging {
    const double* __restrict__ losses;
    Key* keys;
    __device__ __forceinline__ double load(int i) const { return losses[i]; }
    __device__ __forceinline__ Key key(int i, double loss) const { return keys[i] = key_of(loss); }
};

struct Staged {
    const Key* keys;
    __device__ __forceinline__ Key load(int i) const { return keys[i]; }
    __device__ __forceinline__ Key key(int, Key key) const { return key; }
};

// Visits the thread's scenarios i ≡ threadIdx.x (mod blockDim.x) in ascending order, four loads in flight.
template <class Row, class Visit>
__device__ __forceinline__ void each(const Row& row, int n, Visit visit) {
    const int step = blockDim.x;
    long long i = threadIdx.x;
    for (; i + 3LL * step < n; i += 4LL * step) {
        const int at = static_cast<int>(i);
        const auto a = row.load(at), b = row.load(at + step), c = row.load(at + 2 * step), d = row.load(at + 3 * step);
        visit(at, row.key(at, a));
        visit(at + step, row.key(at + step, b));
        visit(at + 2 * step, row.key(at + 2 * step, c));
        visit(at + 3 * step, row.key(at + 3 * step, d));
    }
    for (; i < n; i += step) visit(static_cast<int>(i), row.key(static_cast<int>(i), row.load(static_cast<int>(i))));
}

// The leading digits of the order statistics. They descend with the rank, so equal ones are neighbours and share a slot.
struct Prefixes {
    Key first, second, third;
    int slot_of_second, slot_of_third;

    __device__ __forceinline__ Prefixes(Key a, Key b, Key c)
        : first(a), second(b != a ? b : c), third(c), slot_of_second(b != a), slot_of_third((b != a) + (c != b)) {}
    __device__ __forceinline__ int slots() const { return slot_of_third + 1; }
    __device__ __forceinline__ int slot_of_rank(int r) const { return r == 0 ? 0 : r == 1 ? slot_of_second : slot_of_third; }
    __device__ __forceinline__ int slot(Key prefix) const {
        return prefix == first ? 0 : prefix == second ? 1 : prefix == third ? 2 : -1;
    }
};

struct Lanes {
    double total[LANES];
    double squares[LANES];
    Key worst[LANES];
    int scenario[LANES];
};

struct Shared {
    union {  // in turn
        unsigned bin[RANKS][BINS];
        Key few[RANKS][FEW];
        Lanes lane;
    };
    unsigned group[RANKS][GROUPS];
    Key prefix[RANKS];  // of each order statistic
    unsigned left[RANKS];  // its rank among the losses of this prefix
    unsigned size[RANKS];  // how many these are
    unsigned taken[RANKS];
    Key chosen[RANKS];
};

// From the top, the bin in which the rank falls; `left` becomes the rank within it, `size` the bin's. No early exit: loads overlap.
__device__ __forceinline__ int walk(const unsigned* bin, int count, unsigned& left) {
    unsigned sum = 0, above = 0;
    int found = count - 1;
#pragma unroll 16
    for (int i = count - 1; i >= 0; --i) {
        sum += bin[i];
        if (sum < left) {
            above = sum;
            found = i - 1;
        }
    }
    left -= above;
    return found;
}

// Counts the digit of `width` bits above `shift` of the keys that share an order statistic's prefix, and appends it to the prefix.
template <class Row>
__device__ __forceinline__ void refine(const Row& row, int n, const Prefixes& of, int shift, int width, Shared& s) {
    const int thread = threadIdx.x, threads = blockDim.x;
    unsigned* bins = &s.bin[0][0];
    unsigned* groups = &s.group[0][0];
    for (int i = thread; i < of.slots() * BINS; i += threads) bins[i] = 0;
    __syncthreads();
    each(row, n, [&](int, Key key) {
        const Key digits = key >> shift;
        const int slot = of.slot(digits >> width);
        if (slot >= 0) atomicAdd(&s.bin[slot][digits & ((1u << width) - 1)], 1u);
    });
    __syncthreads();
    for (int g = thread; g < of.slots() * GROUPS; g += threads) {
        unsigned sum = 0;
        for (int i = 0; i < GROUP; ++i) sum += bins[g * GROUP + (i + g) % GROUP];  // turned: no bank conflicts
        groups[g] = sum;
    }
    __syncthreads();
    if (thread < RANKS) {
        const int slot = of.slot_of_rank(thread);
        unsigned left = s.left[thread];
        const int group = walk(s.group[slot], GROUPS, left);
        const int bin = group * GROUP + walk(&s.bin[slot][group * GROUP], GROUP, left);
        s.prefix[thread] = s.prefix[thread] << width | static_cast<Key>(bin);
        s.left[thread] = left;
        s.size[thread] = s.bin[slot][bin];
    }
    __syncthreads();
}

// The order statistics among the few keys that share their prefixes.
template <class Row>
__device__ __forceinline__ void choose(const Row& row, int n, const Prefixes& of, int shift, Shared& s) {
    const int thread = threadIdx.x, threads = blockDim.x;
    if (thread < RANKS) s.taken[thread] = 0;
    __syncthreads();
    each(row, n, [&](int, Key key) {
        const int slot = of.slot(key >> shift);
        if (slot >= 0) s.few[slot][atomicAdd(&s.taken[slot], 1u)] = key;
    });
    __syncthreads();
    for (int r = 0; r < RANKS; ++r) {
        const Key* few = s.few[of.slot_of_rank(r)];
        const unsigned size = s.size[r];
        for (unsigned j = thread; j < size; j += threads) {
            unsigned before = 0;
            for (unsigned i = 0; i < size; ++i) before += few[i] > few[j] || (few[i] == few[j] && i < j);
            if (before + 1 == s.left[r]) s.chosen[r] = few[j];
        }
    }
}

// Lane 0 of s.lane: Σ (L − VaR) and Σ (L − VaR)² over the losses beyond VaR, the worst loss, its first scenario.
template <class Row>
__device__ __forceinline__ void sum_excess(const Row& row, int n, Key var, Shared& s) {
    const int thread = threadIdx.x, threads = blockDim.x;
    Lanes& lane = s.lane;
    for (int j = thread; j < LANES; j += threads) {
        lane.total[j] = lane.squares[j] = 0.0;
        lane.worst[j] = 0;
        lane.scenario[j] = 0;
    }
    const double quantile = loss_of(var);
    // blockDim.x divides LANES: a lane belongs to one thread, which meets its scenarios in ascending order.
    each(row, n, [&](int i, Key key) {
        if (key < var) return;
        const int j = i % LANES;
        if (key > lane.worst[j]) {
            lane.worst[j] = key;
            lane.scenario[j] = i;
        }
        if (key > var) {
            const double excess = loss_of(key) - quantile;
            lane.total[j] = __dadd_rn(lane.total[j], excess);
            lane.squares[j] = __dadd_rn(lane.squares[j], __dmul_rn(excess, excess));
        }
    });
    for (int half = LANES / 2; half > 0; half /= 2) {
        if (half >= n) continue;  // lanes from n on are empty
        __syncthreads();
        for (int j = thread; j < half; j += threads) {
            const int other = j + half;
            lane.total[j] = __dadd_rn(lane.total[j], lane.total[other]);
            lane.squares[j] = __dadd_rn(lane.squares[j], lane.squares[other]);
            const Key worst = lane.worst[other];
            if (worst > lane.worst[j] || (worst == lane.worst[j] && lane.scenario[other] < lane.scenario[j])) {
                lane.worst[j] = worst;
                lane.scenario[j] = lane.scenario[other];
            }
        }
    }
}

// `first` is where the first pass finds the keys, `row` where the others do.
template <class First, class Row>
__device__ __forceinline__ void measure(const First& first, const Row& row, int n, int nearer, int var, int further,
                                        double* ordered, double* total, double* squares, long long* scenario, Shared& s) {
    if (threadIdx.x < RANKS) {
        s.prefix[threadIdx.x] = 0;
        s.left[threadIdx.x] = threadIdx.x == 0 ? nearer : threadIdx.x == 1 ? var : further;
    }
    int shift = 64 - BITS;
    refine(first, n, Prefixes(0, 0, 0), shift, BITS, s);
    while (shift > 0 && (s.size[0] > FEW || s.size[1] > FEW || s.size[2] > FEW)) {
        const int width = shift < BITS ? shift : BITS;
        shift -= width;
        const Prefixes of(s.prefix[0], s.prefix[1], s.prefix[2]);
        refine(row, n, of, shift, width, s);
    }
    if (shift > 0) {
        choose(row, n, Prefixes(s.prefix[0], s.prefix[1], s.prefix[2]), shift, s);
    } else if (threadIdx.x < RANKS) {
        s.chosen[threadIdx.x] = s.prefix[threadIdx.x];  // all digits: the key itself
    }
    __syncthreads();
    sum_excess(row, n, s.chosen[1], s);
    if (threadIdx.x == 0) {
        const long long r = blockIdx.x;
        for (int k = 0; k < RANKS; ++k) ordered[4 * r + k] = loss_of(s.chosen[k]);
        ordered[4 * r + 3] = loss_of(s.lane.worst[0]);
        total[r] = s.lane.total[0];
        squares[r] = s.lane.squares[0];
        scenario[r] = s.lane.scenario[0];
    }
}

}  // namespace

// Grid: a block a row; blockDim.x a power of two from 32 to 1024. Ranks count from the worst, 1 ≤ nearer ≤ var ≤ further ≤ n.
// ordered: (n_rows, 4) the three order statistics and the worst loss; total, squares, scenario: (n_rows,).
extern "C" __global__ void __launch_bounds__(1024) tail_streamed(
    const double* __restrict__ losses, long long stride, int n, int nearer, int var, int further,
    double* __restrict__ ordered, double* __restrict__ total, double* __restrict__ squares, long long* __restrict__ scenario) {
    __shared__ Shared s;
    const Streamed row{losses + blockIdx.x * stride};
    measure(row, row, n, nearer, var, further, ordered, total, squares, scenario, s);
}

// The same, with 8·n bytes of dynamic shared memory.
extern "C" __global__ void __launch_bounds__(1024) tail_staged(
    const double* __restrict__ losses, long long stride, int n, int nearer, int var, int further,
    double* __restrict__ ordered, double* __restrict__ total, double* __restrict__ squares, long long* __restrict__ scenario) {
    __shared__ Shared s;
    extern __shared__ Key keys[];
    measure(Staging{losses + blockIdx.x * stride, keys}, Staged{keys}, n, nearer, var, further, ordered, total, squares,
            scenario, s);
}

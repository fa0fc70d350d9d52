// Philox4x32-10, its uniforms and their normals: a number is a function of (seed, lane, path, column) and nothing else.
//
// A block of four words is 10 rounds of 2 wide multiplications and 2 three-input XORs: about 60 integer operations for
// two numbers; the inverse normal about 45 FP64 operations in the middle (73 % of draws) and 140 in the tails. Integer
// and FP64 units work side by side; FP64 binds.
#pragma once

struct Words {
    unsigned int w0, w1, w2, w3;
};

// Salmon, Moraes, Dror & Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3".
__device__ inline Words philox4x32(Words c, unsigned int key0, unsigned int key1) {
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const unsigned int left = __umulhi(0xD2511F53u, c.w0), right = __umulhi(0xCD9E8D57u, c.w2);
        c = {right ^ c.w1 ^ key0, 0xCD9E8D57u * c.w2, left ^ c.w3 ^ key1, 0xD2511F53u * c.w0};
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return c;
}

// 52 bits and a half step: inside (0, 1) and symmetric about a half, exactly.
__device__ inline double uniform(unsigned int high, unsigned int low) {
    const unsigned long long bits = (static_cast<unsigned long long>(high) << 20) | (low >> 12);
    return (static_cast<double>(static_cast<long long>(bits)) + 0.5) * 2.220446049250313080847263336181640625e-16;
}

// Products rounded on their own, as on a CPU.
template <int N>
__device__ inline double polynomial(const double (&c)[N], double x) {
    double sum = c[0];
#pragma unroll
    for (int i = 1; i < N; ++i) sum = __dadd_rn(__dmul_rn(sum, x), c[i]);
    return sum;
}

// The inverse normal distribution function by the rational functions of Moshier's Cephes (1989), as SciPy's ndtri: in
// the middle its very bits, in the tails but for the last digit of a logarithm. Another approximation as good, or fused
// products, would differ from it by 5 to 7 units in the last place.
__device__ inline double inverse_normal(double u) {
    const double p0[] = {-5.99633501014107895267e1, 9.80010754185999661536e1, -5.66762857469070293439e1,
                         1.39312609387279679503e1, -1.23916583867381258016e0};
    const double q0[] = {1.0, 1.95448858338141759834e0, 4.67627912898881538453e0, 8.63602421390890590575e1,
                         -2.25462687854119370527e2, 2.00260212380060660359e2, -8.20372256168333339912e1,
                         1.59056225126211695515e1, -1.18331621121330003142e0};
    const double p1[] = {4.05544892305962419923e0, 3.15251094599893866154e1, 5.71628192246421288162e1,
                         4.40805073893200834700e1, 1.46849561928858024014e1, 2.18663306850790267539e0,
                         -1.40256079171354495875e-1, -3.50424626827848203418e-2, -8.57456785154685413611e-4};
    const double q1[] = {1.0, 1.57799883256466749731e1, 4.53907635128879210584e1, 4.13172038254672030440e1,
                         1.50425385692907503408e1, 2.50464946208309415979e0, -1.42182922854787788574e-1,
                         -3.80806407691578277194e-2, -9.33259480895457427372e-4};
    const double p2[] = {3.23774891776946035970e0, 6.91522889068984211695e0, 3.93881025292474443415e0,
                         1.33303460815807542389e0, 2.01485389549179081538e-1, 1.23716634817820021358e-2,
                         3.01581553508235416007e-4, 2.65806974686737550832e-6, 6.23974539184983293730e-9};
    const double q2[] = {1.0, 6.02427039364742014255e0, 3.67983563856160859403e0, 1.37702099489081330271e0,
                         2.16236993594496635890e-1, 1.34204006088543189037e-2, 3.28014464682127739104e-4,
                         2.89247864745380683936e-6, 6.79019408009981274425e-9};
    const double tail = 0.13533528323661269189;  // exp(-2)
    const double y = u > 1.0 - tail ? 1.0 - u : u;
    if (y > tail) {
        const double d = y - 0.5, d2 = d * d;
        const double bend = __dmul_rn(d2, polynomial(p0, d2)) / polynomial(q0, d2);
        return __dmul_rn(__dadd_rn(d, __dmul_rn(d, bend)), 2.50662827463100050242);
    }
    const double x = sqrt(-2.0 * log(y));
    const double z = 1.0 / x;
    const double first = x - log(x) / x;
    const double second = x < 8.0 ? __dmul_rn(z, polynomial(p1, z)) / polynomial(q1, z)
                                  : __dmul_rn(z, polynomial(p2, z)) / polynomial(q2, z);
    return u > 0.5 ? first - second : second - first;
}

// What stays the same over a launch. Lane: 2·step + stream.
struct Stream {
    unsigned int key0, key1, lane;
};

// The normals of one path in columns 2·pair and 2·pair + 1.
__device__ inline double2 normal_pair(const Stream &stream, unsigned long long path, unsigned int pair) {
    const Words w = philox4x32({static_cast<unsigned int>(path), static_cast<unsigned int>(path >> 32), pair, stream.lane},
                               stream.key0, stream.key1);
    return make_double2(inverse_normal(uniform(w.w0, w.w1)), inverse_normal(uniform(w.w2, w.w3)));
}

// CUDA's language on the host, for tests: the very same .cu files, one real thread per CUDA thread.
//
// A block is a team of std::threads; __syncthreads is a std::barrier of the block, a warp shuffle two crossings of a
// barrier of the warp around an exchange buffer. So ThreadSanitizer sees a missing __syncthreads as a race, and
// AddressSanitizer an access outside an array or outside the dynamic shared memory that the launch asked for.
//
// Blocks run one after another: what two blocks do to the same memory is not seen as a race. Static __shared__ memory
// keeps its contents from block to block; dynamic shared memory is filled with NaNs before each. Shuffles take the
// whole warp only. Products and sums are not contracted to fused ones unless the kernel says fma.
#pragma once

#include <math.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __shared__ static
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};
using uint3 = dim3;

#define CUDA_HOST_VECTOR(T, NAME)                                                                  \
  struct alignas(2 * sizeof(T)) NAME##2 { T x, y; };                                               \
  struct NAME##3 { T x, y, z; };                                                                   \
  inline NAME##2 make_##NAME##2(T x, T y) { return {x, y}; }                                       \
  inline NAME##3 make_##NAME##3(T x, T y, T z) { return {x, y, z}; }
CUDA_HOST_VECTOR(double, double)
CUDA_HOST_VECTOR(float, float)
CUDA_HOST_VECTOR(int, int)
CUDA_HOST_VECTOR(long long, longlong)
CUDA_HOST_VECTOR(unsigned long long, ulonglong)
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(16) float4 { float x, y, z, w; };
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

inline thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;
constexpr int warpSize = 32;

namespace cuda_host {

[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "cuda_host: %s\n", what);
  std::abort();
}

struct Warp {
  std::barrier<> barrier;
  unsigned lanes;  // a bit a lane that exists
  alignas(16) unsigned char exchange[32][16] = {};
  explicit Warp(int n) : barrier(n), lanes(n == 32 ? ~0u : (1u << n) - 1) {}
};

struct Block {
  std::barrier<> barrier;
  std::vector<std::unique_ptr<Warp>> warps;
  std::array<std::atomic<int>, 2> votes{};
  explicit Block(int n) : barrier(n) {
    for (int first = 0; first < n; first += 32) warps.push_back(std::make_unique<Warp>(std::min(32, n - first)));
  }
};

inline std::optional<Block> block;
inline std::vector<unsigned char> dynamic;
inline unsigned char* dynamic_bytes = nullptr;
inline thread_local int thread_rank = 0;

inline Warp& warp() { return *block->warps[thread_rank / 32]; }
inline int lane() { return thread_rank % 32; }
inline void* dynamic_shared() { return dynamic_bytes; }

template <class T>
T exchange(unsigned mask, T value, int from) {
  static_assert(sizeof(T) <= 16 && std::is_trivially_copyable_v<T>);
  Warp& own = warp();
  if ((mask & own.lanes) != own.lanes) fail("a warp function names some lanes only; expected the whole warp");
  std::memcpy(own.exchange[lane()], &value, sizeof(T));
  own.barrier.arrive_and_wait();
  if (from >= 0 && from < 32 && (own.lanes >> from & 1)) std::memcpy(&value, own.exchange[from], sizeof(T));
  own.barrier.arrive_and_wait();
  return value;
}

inline unsigned ballot(unsigned mask, bool predicate) {
  Warp& own = warp();
  if ((mask & own.lanes) != own.lanes) fail("a warp function names some lanes only; expected the whole warp");
  own.exchange[lane()][0] = predicate;
  own.barrier.arrive_and_wait();
  unsigned out = 0;
  for (int l = 0; l < 32; ++l)
    if (own.lanes >> l & 1) out |= unsigned{own.exchange[l][0]} << l;
  own.barrier.arrive_and_wait();
  return out;
}

inline int count(int predicate) {
  block->votes[0] += predicate != 0;
  block->barrier.arrive_and_wait();
  const int out = block->votes[0];
  block->barrier.arrive_and_wait();
  block->votes[0] = 0;
  block->barrier.arrive_and_wait();
  return out;
}

}  // namespace cuda_host

// Synchronization and warps.
inline void __syncthreads() { cuda_host::block->barrier.arrive_and_wait(); }
inline int __syncthreads_count(int p) { return cuda_host::count(p); }
inline int __syncthreads_or(int p) { return cuda_host::count(p) != 0; }
inline int __syncthreads_and(int p) { return cuda_host::count(!p) == 0; }
inline void __syncwarp(unsigned = ~0u) { cuda_host::warp().barrier.arrive_and_wait(); }
inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline void __threadfence_block() { __threadfence(); }

template <class T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
  const int base = cuda_host::lane() / width * width;
  return cuda_host::exchange(mask, value, base + from % width);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
  const int from = cuda_host::lane() ^ bits;
  return cuda_host::exchange(mask, value, from / width == cuda_host::lane() / width ? from : cuda_host::lane());
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
  const int from = cuda_host::lane() + int(by);
  return cuda_host::exchange(mask, value, from / width == cuda_host::lane() / width ? from : cuda_host::lane());
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
  const int from = cuda_host::lane() % width - int(by);
  return cuda_host::exchange(mask, value, from < 0 ? cuda_host::lane() : cuda_host::lane() - int(by));
}
inline unsigned __ballot_sync(unsigned mask, int p) { return cuda_host::ballot(mask, p != 0); }
inline int __any_sync(unsigned mask, int p) { return cuda_host::ballot(mask, p != 0) != 0; }
inline int __all_sync(unsigned mask, int p) { return cuda_host::ballot(mask, p == 0) == 0; }

// Atomics, on integers only: sums of floating-point numbers have a fixed order.
template <class T>
using Integer = std::enable_if_t<std::is_integral_v<T>, T>;
template <class T>
T atomicAdd(T* p, std::type_identity_t<Integer<T>> v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
template <class T>
T atomicSub(T* p, std::type_identity_t<Integer<T>> v) { return __atomic_fetch_sub(p, v, __ATOMIC_RELAXED); }
template <class T>
T atomicOr(T* p, std::type_identity_t<Integer<T>> v) { return __atomic_fetch_or(p, v, __ATOMIC_RELAXED); }
template <class T>
T atomicAnd(T* p, std::type_identity_t<Integer<T>> v) { return __atomic_fetch_and(p, v, __ATOMIC_RELAXED); }
template <class T>
T atomicExch(T* p, std::type_identity_t<Integer<T>> v) { return __atomic_exchange_n(p, v, __ATOMIC_RELAXED); }
template <class T>
T atomicCAS(T* p, std::type_identity_t<Integer<T>> expected, std::type_identity_t<T> v) {
  __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
template <class T>
T atomicMax(T* p, std::type_identity_t<Integer<T>> v) {
  T old = __atomic_load_n(p, __ATOMIC_RELAXED);
  while (old < v && !__atomic_compare_exchange_n(p, &old, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
  return old;
}
template <class T>
T atomicMin(T* p, std::type_identity_t<Integer<T>> v) {
  T old = __atomic_load_n(p, __ATOMIC_RELAXED);
  while (v < old && !__atomic_compare_exchange_n(p, &old, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
  return old;
}

// Arithmetic. Macros where glibc keeps the name for itself.
template <class A, class B>
constexpr std::common_type_t<A, B> min(A a, B b) { return b < a ? b : a; }
template <class A, class B>
constexpr std::common_type_t<A, B> max(A a, B b) { return a < b ? b : a; }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double normcdf(double x) { return 0.5 * erfc(-0.70710678118654752440 * x); }
inline float normcdff(float x) { return float(normcdf(double(x))); }
inline double erfcx(double x) { return x < 25.0 ? exp(x * x) * erfc(x) : 0.56418958354775629 / x; }
#define __expf(x) ::expf(x)
#define __exp2f(x) ::exp2f(x)
#define __logf(x) ::logf(x)
#define __log2f(x) ::log2f(x)
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frsqrt_rn(float x) { return float(1.0 / sqrt(double(x))); }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __drcp_rn(double x) { return 1.0 / x; }
inline double __dsqrt_rn(double x) { return sqrt(x); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }

inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline int __double2hiint(double x) { return int(__double_as_longlong(x) >> 32); }
inline int __double2loint(double x) { return int(__double_as_longlong(x)); }
inline double __hiloint2double(int hi, int lo) {
  return std::bit_cast<double>(std::uint64_t{std::uint32_t(hi)} << 32 | std::uint32_t(lo));
}
inline int __double2int_rn(double x) { return int(nearbyint(x)); }
inline int __float2int_rn(float x) { return int(nearbyintf(x)); }
inline int __double2int_rd(double x) { return int(floor(x)); }
inline int __float2int_rd(float x) { return int(floorf(x)); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((std::uint64_t{a} * b) >> 32); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(unsigned(x)); }
inline int __clzll(long long x) { return std::countl_zero(std::uint64_t(x)); }
inline int __ffs(int x) { return x ? std::countr_zero(unsigned(x)) + 1 : 0; }
template <class T>
T __ldg(const T* p) { return *p; }
template <class T>
T __ldcs(const T* p) { return *p; }
template <class T>
void __stcs(T* p, std::type_identity_t<T> v) { *p = v; }
template <class T>
T __ldcg(const T* p) { return *p; }
template <class T>
void __stcg(T* p, std::type_identity_t<T> v) { *p = v; }

namespace cuda_host {

struct Launch {
  dim3 grid, block;
  std::size_t shared;
};

// Every thread of the team walks through all blocks; the team's barrier prepares the next one.
template <class F>
void run(const Launch& launch, F kernel) {
  const int n = int(launch.block.x * launch.block.y * launch.block.z);
  if (n < 1 || n > 1024) fail("a block has no thread or more than 1024");
  const std::uint64_t blocks = std::uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  auto next = [&]() noexcept {
    block.emplace(n);
    // Fresh memory a block: a stale pointer to the last block's shows.
    dynamic_bytes = static_cast<unsigned char*>(std::realloc(dynamic_bytes, 0)), dynamic_bytes = nullptr;
    if (launch.shared) std::memset(dynamic_bytes = static_cast<unsigned char*>(std::malloc(launch.shared)), 0xff, launch.shared);
  };
  std::barrier team(n, next);
  auto thread = [&](int rank) {
    thread_rank = rank;
    blockDim = launch.block, gridDim = launch.grid;
    threadIdx = {rank % launch.block.x, rank / launch.block.x % launch.block.y, rank / launch.block.x / launch.block.y};
    for (std::uint64_t b = 0; b < blocks; ++b) {
      team.arrive_and_wait();
      blockIdx = {unsigned(b % launch.grid.x), unsigned(b / launch.grid.x % launch.grid.y),
                  unsigned(b / launch.grid.x / launch.grid.y)};
      kernel();
      // A thread that has returned no longer counts at barriers, as on the device.
      warp().barrier.arrive_and_drop();
      block->barrier.arrive_and_drop();
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(n);
  for (int rank = 0; rank < n; ++rank) threads.emplace_back(thread, rank);
  for (auto& t : threads) t.join();
  std::free(dynamic_bytes);
  dynamic_bytes = nullptr;
  block.reset();
}

// A parameter's type as NumPy writes it: "f8", a pointer with a star before it.
template <class T>
std::string code() {
  if constexpr (std::is_pointer_v<T>) {
    return "*" + code<std::remove_cv_t<std::remove_pointer_t<T>>>();
  } else if constexpr (std::is_same_v<T, bool>) {
    return "b1";
  } else if constexpr (std::is_arithmetic_v<T>) {
    const char kind = std::is_floating_point_v<T> ? 'f' : std::is_signed_v<T> ? 'i' : 'u';
    return kind + std::to_string(sizeof(T));
  } else if constexpr (requires(T v) { v.x; }) {
    return code<decltype(T::x)>();
  } else {
    return "any";
  }
}

struct Kernel {
  std::string signature;
  void (*call)(const Launch&, void**);
};

inline std::map<std::string, Kernel>& kernels() {
  static std::map<std::string, Kernel> all;
  return all;
}

template <auto function>
struct Caller;
template <class... P, void (*function)(P...)>
struct Caller<function> {
  static std::string signature() {
    std::string out;
    ((out += out.empty() ? code<P>() : "," + code<P>()), ...);
    return out;
  }
  template <std::size_t... I>
  static void call_with(const Launch& launch, void** args, std::index_sequence<I...>) {
    run(launch, [args] { function(*static_cast<std::remove_cv_t<P>*>(args[I])...); });
  }
  static void call(const Launch& launch, void** args) { call_with(launch, args, std::index_sequence_for<P...>{}); }
};

}  // namespace cuda_host

#define CUDA_HOST_EXPORT(NAME)                                                                              \
  static const bool exported_##NAME = [] {                                                                  \
    cuda_host::kernels()[#NAME] = {cuda_host::Caller<&NAME>::signature(), cuda_host::Caller<&NAME>::call}; \
    return true;                                                                                            \
  }();

extern "C" inline __attribute__((used)) const char* cuda_host_signature(const char* name) {
  const auto found = cuda_host::kernels().find(name);
  return found == cuda_host::kernels().end() ? nullptr : found->second.signature.c_str();
}

extern "C" inline __attribute__((used)) void cuda_host_launch(const char* name, const unsigned* grid,
                                                              const unsigned* block, std::size_t shared, void** args) {
  cuda_host::kernels().at(name).call({{grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, shared}, args);
}

#ifdef CUDA_HOST_MAIN
// One launch, read from a file and written back to it: name, grid, block, shared bytes, then for each argument its
// kind (0 scalar, 1 array, 2 an array again, with its number for a length), its length and its bytes.
int main(int, char** argv) {
  std::FILE* file = std::fopen(argv[1], "r+b");
  auto read = [&](void* to, std::size_t bytes) {
    if (bytes && std::fread(to, 1, bytes, file) != bytes) cuda_host::fail("the launch file is short");
  };
  char name[128];
  unsigned grid[3], block[3];
  std::uint64_t shared, n, head[2];
  read(name, sizeof name), read(grid, sizeof grid), read(block, sizeof block), read(&shared, 8), read(&n, 8);
  std::vector<void*> value(n), args(n);
  std::vector<std::pair<void*, std::pair<long, std::uint64_t>>> arrays;
  for (std::uint64_t i = 0; i < n; ++i) {
    read(head, sizeof head);
    if (head[0] == 2) {
      value[i] = value[head[1]], args[i] = &value[i];
      continue;
    }
    // Exactly as long as the array: an access one past the end is one past the end of the heap block.
    void* bytes = std::malloc(std::max<std::uint64_t>(head[1], 1));
    const long at = std::ftell(file);
    read(bytes, head[1]);
    value[i] = bytes;
    args[i] = head[0] == 0 ? bytes : &value[i];
    if (head[0] == 1) arrays.push_back({bytes, {at, head[1]}});
  }
  cuda_host_launch(name, grid, block, shared, args.data());
  for (auto& [bytes, where] : arrays) {
    std::fseek(file, where.first, SEEK_SET);
    if (std::fwrite(bytes, 1, where.second, file) != where.second) cuda_host::fail("cannot write the arrays back");
  }
  return std::fclose(file);
}
#endif

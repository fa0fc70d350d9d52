// A wall clock that jumps: by up to half a day forth or back, every GPU_VAR_CLOCK_MS milliseconds of real time, in every
// process alike. Loaded before the C library (LD_PRELOAD); the monotonic clock keeps its word, as a kernel's does.

#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>

#include <cstdlib>

namespace {

using Clock = int (*)(clockid_t, timespec *);

int real(clockid_t id, timespec *at) {
    static const Clock call = reinterpret_cast<Clock>(dlsym(RTLD_NEXT, "clock_gettime"));
    return call(id, at);
}

time_t shift() {
    static const char *text = std::getenv("GPU_VAR_CLOCK_MS");
    static const long long period = text ? std::atoll(text) : 200;
    timespec now{};
    real(CLOCK_MONOTONIC, &now);
    unsigned long long step = (now.tv_sec * 1000LL + now.tv_nsec / 1000000) / period;
    step = (step ^ (step >> 7)) * 0x9E3779B97F4A7C15ULL;
    return static_cast<time_t>(step >> 40) % 86400 - 43200;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t id, timespec *at) noexcept {
    const int failed = real(id, at);
    if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec += shift();
    return failed;
}

time_t time(time_t *at) noexcept {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(timeval *at, void *) noexcept {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
}

"""kernels/black.cuh by itself, over its whole range: φ, Mills' ratio and the time values of options."""

from pathlib import Path

import mpmath
import numpy as np
from kernels.budget import spend
from kernels.host.device import HostDevice
from scipy.special import erfcx

from gpu_var.cuda.device import kernel_path

PROBE = """
#include "black.cuh"
extern "C" __global__ void probe(
    long long n, const double *m, const double *s, double *phi, double *ratio, double *black, float *single,
    double *bachelier) {
    for (long long i = threadIdx.x; i < n; i += blockDim.x) {
        phi[i] = density(m[i]);
        ratio[i] = mills_above(m[i]) / mills_below(m[i]);
        black[i] = black_time_value(m[i], s[i], 1.0);
        single[i] = black_time_value((float)m[i], (float)s[i], 1.0f);
        bachelier[i] = bachelier_time_value(m[i]);
    }
}
"""


def precise_black(m: float, s: float) -> float:
    """The undiscounted call at F = 1, ln(K/F) = m·s ≥ 0, at 40 digits."""
    with mpmath.workdps(40 + int(m * s)):
        half, strike = mpmath.mpf(s) / 2, mpmath.exp(mpmath.mpf(m) * mpmath.mpf(s))
        return float(mpmath.ncdf(half - m) - strike * mpmath.ncdf(-m - half))


def test_normal_distribution(tmp_path: Path) -> None:
    """φ, Mills' ratio and the time values over the whole range."""
    (tmp_path / "probe.cu").write_text(PROBE)
    (tmp_path / "black.cuh").write_text((kernel_path() / "black.cuh").read_text())
    rng = np.random.default_rng(1)
    m = np.concatenate([np.linspace(0, 12, 20_001), np.linspace(12, 37, 2_001), np.geomspace(1e-12, 1, 500)])
    s = np.exp(rng.uniform(np.log(1e-4), np.log(8), len(m)))
    m, s = (a.astype(np.float32).astype(np.float64) for a in (m, s))  # the float functions' input, exactly
    phi, ratio, black, bachelier = np.full((4, len(m)), np.nan)
    single = np.full(len(m), np.nan, dtype=np.float32)
    arguments = (np.int64(len(m)), m, s, phi, ratio, black, single, bachelier)
    HostDevice(folder=tmp_path).launch("probe", "probe", (1,), (4,), arguments)

    exact = np.exp(-0.5 * m * m) / np.sqrt(2 * np.pi)
    mills = np.sqrt(np.pi / 2) * erfcx(m / np.sqrt(2))
    some = rng.integers(0, 12_000, 400)
    precise = np.array([precise_black(*pair) for pair in zip(m[some], s[some], strict=True)])
    errors = {
        "density": (np.abs(phi - exact).max(), 1e-15),
        "Mills' ratio": (np.abs(ratio - mills).max(), 3e-15),  # its fit 1e-15, and rounding
        "Mills' ratio times φ": ((exact * np.abs(ratio - mills)).max(), 1e-15),
        "Black": (np.abs(black[some] - precise).max(), 1e-15),
        "Black in float": (np.abs(single - black).max(), 5e-7),
        "Black in float, of s": ((np.abs(single - black) / s).max(), 1e-6),
        "Bachelier": (np.abs(bachelier - exact * (1 - m * mills)).max(), 1e-15),
    }
    for name, (worst, allowed) in errors.items():
        spend(f"black.cuh, {name}", "host", float(worst), allowed)

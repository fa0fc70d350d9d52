"""The functions of a backend on inputs of a benchmark: what to time, and what they cannot do without."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import cpu_reference as cr
from cpu_reference.types import OPTION
from gpu_var.backend import Backend

STYLES = ("european", "bachelier", "american")

OPERATIONS = {"european": 93.0, "bachelier": 67.0, "american": 157.0}
"""Double-precision operations of a revaluation along a smile, counted in the sm_90 code of kernels/revalue.cu; of an
American option those before the coefficients of its fit."""

NORMAL = 0.73 * 45 + 0.27 * 140
"""The same of a normal number: 73 % of them are in the middle (kernels/philox.cuh)."""


class Case(NamedTuple):
    """A function on one input."""

    name: str
    run: Callable[[], Any]  # returns what it has computed, arrays of the backend
    elements: int
    needs: dict[str, float]  # ceiling -> operations or bytes that an element cannot do without


def one_maturity(
    n: int, n_scenarios: int, *, own_vol: bool = False, american: bool = False, normal: bool = False
) -> tuple[cr.Instruments, cr.Market, cr.Shocks]:
    """Puts of one maturity, half a year, with strikes around the money and a smile of 41 knots; seeded.

    Args:
        own_vol: volatilities of the instruments' own, not read from the smile.
        normal: Bachelier dynamics.
    """
    rng = np.random.default_rng(0)
    instruments = cr.Instruments(
        kind=np.full(n, OPTION, np.int8),
        maturity=np.zeros(n, np.intp),
        strike=np.sort(100.0 * np.exp(rng.normal(size=n) * 0.2)),
        sign=np.full(n, -1, np.int8),
        american=np.full(n, american),
        inverse=np.zeros(n, np.bool_),
        multiplier=np.ones(n),
        vol=np.full(n, (20.0 if normal else 0.3) if own_vol else np.nan),
    )
    knot = np.linspace(-1.0, 1.0, 41) * (100.0 if normal else 1.0)
    iv = (20.0 if normal else 0.3) * (1.0 + 0.3 * np.linspace(-1.0, 1.0, 41) ** 2)
    slope = np.concatenate([[0.0], np.diff(iv) / np.diff(knot), [0.0]])
    level = np.concatenate([iv[:1], iv])
    smile = cr.Smile(np.array([0, 41]), knot, np.stack([level**2, 2.0 * level * slope, slope**2], axis=1))
    curves = cr.Maturities(np.array([0.5]), np.array([101.0]), np.array([0.04]))
    market = cr.Market.of_one(normal, False, True, 100.0, 1.0, curves, curves, smile, smile)
    x = rng.normal(size=n_scenarios) * 0.03
    forward = 101.0 + 100.0 * x if normal else 101.0 * np.exp(x)
    shocks = cr.Shocks.of_levels(
        normal,
        spot=forward / 1.01,
        fx=np.ones(n_scenarios),
        forward=forward[None],
        rate=np.full((1, n_scenarios), 0.04),
        vol_growth=np.exp(rng.normal(size=(1, n_scenarios)) * 0.05),
    )
    return instruments, market, shocks


def revalue_cases(backend: Backend, precision: str, n: int, n_scenarios: int) -> list[Case]:
    """`revalue` of `n` strikes in all scenarios in one call; what is prepared once an underlying is not in the time."""
    out = []
    unit = "fma_fp64" if precision == "float64" else "fma_fp32"
    for style in STYLES:
        instruments, market, shocks = one_maturity(
            n, n_scenarios, american=style == "american", normal=style == "bachelier"
        )
        prepared = backend.prepare(instruments, market, shocks)
        moved = shocks.moving(backend.to_device)
        pnl = backend.empty((n, n_scenarios), precision)
        every = slice(0, n_scenarios)
        run = partial(_into, pnl, backend.revalue, instruments, market, moved, prepared, every)
        out.append(Case(f"revalue {style}", run, n * n_scenarios, {unit: OPERATIONS[style], "copy": pnl.itemsize}))
    return out


def _into(out: Any, function: Callable[..., None], *args: Any) -> Any:
    function(*args, out)
    return out


def other_cases(backend: Backend, precision: str = "float64", shrink: int = 1) -> list[Case]:
    """Aggregation of a tile, tails of accounts, correlated draws, the filter; `shrink` divides their sizes."""
    rng = np.random.default_rng(0)
    out = []
    n_cells, n_holdings = max(1, 6_400 // shrink), max(1, 10_240 // shrink)
    tile, width = backend.TILE, max(1, backend.BLOCK // shrink)
    key = np.unique(rng.integers(0, n_cells, n_holdings) * tile + rng.integers(0, tile, n_holdings))
    cell, count = np.unique(key // tile, return_counts=True)
    start = np.concatenate([[0], np.cumsum(count)])
    held = backend.upload(
        cr.Holdings(cell.astype(np.intp), start, (key % tile).astype(np.intp), rng.normal(size=len(key)))
    )
    sums = backend.zeros((n_cells, width))
    unit_pnl = backend.to_device(rng.random((tile, width)).astype(precision))

    def aggregate() -> Any:
        sums[...] = 0.0
        backend.aggregate(held, unit_pnl, sums)
        return sums

    needs = {"fma_fp64": 2.0, "copy_l2": float(unit_pnl.itemsize), "copy": 16.0 * len(cell) / len(key)}
    out.append(Case("aggregate", aggregate, len(key) * width, needs))
    if precision != "float64":
        return out
    for rows, n in ((10_000, 10_000), (100, 1_000_000)):
        losses = backend.to_device(rng.standard_normal((-(-rows // shrink), -(-n // shrink))))

        def measure(losses: Any = losses) -> Any:
            measured = backend.tail(losses, 0.99)
            return np.stack([measured.var, measured.es])

        out.append(Case(f"tail of {n:,}", measure, losses.size, {"copy": 8.0}))
    paths = max(1, (1 << 18) // shrink)
    for n_paths, n in ((paths, 64), (max(1, paths // 4), 256)):
        root = backend.to_device(np.eye(n) + rng.random((n, n)) / n)
        shock = backend.empty((n_paths, n))

        def draw(root: Any = root, shock: Any = shock) -> Any:
            backend.correlate(backend.normals(1, 0, 0, shock.shape), root, shock)
            return shock

        out.append(Case(f"correlated normals, {n} factors", draw, n_paths * n, {"fma_fp64": NORMAL + n, "copy": 24.0}))
    returns = backend.to_device(rng.standard_normal((max(2, 2500 // shrink), 4096)) * 0.01)
    out.append(Case("filter", lambda: backend.filter_ewma(returns, 0.97), returns.size, {"copy": 16.0}))
    return out

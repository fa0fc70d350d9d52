"""How much the historical measure depends on which part of history is looked at (Prisma style)."""

from typing import Any

import numpy as np

from gpu_var.backend import Backend
from gpu_var.margin.measured import Measured
from gpu_var.scenarios.model import measures
from gpu_var.tables.book import F8

_CHUNK = 1 << 20
"""Losses measured at a time."""


def window_measures(pnl: Any, windows: int, level: float, measure: str, backend: Backend, samples: int = 1) -> F8:
    """(n, windows) the measure over each of the consecutive windows of the scenarios, all of ⌊N/windows⌋ scenarios.

    Where `windows` does not divide N, the oldest N mod windows scenarios are in none.

    Args:
        pnl: (n, N) the backend's array, gains positive, scenarios by date.
        windows: 1 to N/samples.
        level: confidence, e.g. 0.99.
        measure: "var" | "es" | "worst".
        backend: whose array `pnl` is.
        samples: interleaved sub-samples over which a measure is averaged, as `ScenarioSet.samples`.

    Raises:
        ValueError: a window without a scenario of each sub-sample.
    """
    n, n_scenarios = pnl.shape
    length = n_scenarios // windows
    if length < samples:
        raise ValueError(
            f"{windows} windows of {n_scenarios} scenarios in {samples} sub-samples; "
            "expected a scenario of each in every window"
        )
    out = np.empty((n, windows))
    step = max(1, _CHUNK // n_scenarios)
    for first in range(0, n, step):
        rows = slice(first, min(first + step, n))
        losses = -pnl[rows, n_scenarios - windows * length :].reshape(-1, length)
        out[rows] = getattr(measures(backend, losses, samples, level), measure).reshape(-1, windows)
    return out


def correlation_break(by_window: F8, base: F8, multiplier: float, cap: float) -> F8:
    """(n,) min(multiplier·s, cap·max(0, base)), s the sample standard deviation (ddof 1) of the windows' measures.

    A portfolio whose measure is the same in every window, whatever moved together there, pays nothing.

    Args:
        by_window: (n, windows) measures, windows ≥ 2.
        base: (n,) the measure over all scenarios, not floored.
        multiplier: ≥ 0.
        cap: ≥ 0, as a share of the base.
    """
    spread = np.std(by_window, axis=1, ddof=1)
    return np.asarray(np.minimum(multiplier * spread, cap * np.maximum(base, 0.0)))


def charge(m: Measured) -> F8 | None:
    """(n_accounts,) base currency, ≥ 0, by the run's own measure of [fhs]; None without [correlation_break]."""
    table = m.config.correlation_break
    if table is None:
        return None
    measure, samples = m.config.measure, m.sets["fhs"].samples
    by_window = window_measures(m.pnl["fhs"], table.windows, m.config.level, measure, m.backend, samples)
    return correlation_break(by_window, getattr(m.tails["fhs"], measure), table.multiplier, table.cap)

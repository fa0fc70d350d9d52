"""Each function of a backend against the clock and against the ceiling that binds it, and against its twin."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from gpu_var.backend import Backend
from gpu_var.benchmark.cases import Case, other_cases, revalue_cases
from gpu_var.benchmark.clock import timed

SHAPES = {"cpu": (2048, 1024), "cuda": (4096, 16_384)}
"""Strikes and scenarios that a backend revalues in one call; with the CPU's, both fill their caches alike."""

_OTHERS = {"cpu": 16, "cuda": 1}
"""By what the sizes of the other functions are divided, so that a laptop has the memory and the time."""


def measured(
    cases: Sequence[Case],
    ceilings: dict[str, float],
    wait: Callable[[], object] = lambda: None,
    *,
    runs: int = 20,
    budget: float = 1.0,
) -> list[dict[str, Any]]:
    """Each case's time, its rate, what binds it by count, and the share of that ceiling that it reaches.

    Args:
        ceilings: operations or bytes a second, by the names in `Case.needs`.
        wait: until the device has done what was asked of it.
        runs: at most so many of a case.
        budget: seconds a case.
    """
    out = []
    for case in cases:
        timing = timed(case.run, wait, runs=runs, budget=budget)
        floors = {unit: case.elements * amount / ceilings[unit] for unit, amount in case.needs.items()}
        binds = max(floors, key=floors.__getitem__)
        out.append(
            {
                "function": case.name,
                "elements": case.elements,
                "needs": case.needs,
                "seconds": asdict(timing),
                "per_second": case.elements / timing.median,
                "binds": binds,
                "share": floors[binds] / timing.median,
            }
        )
    return out


def cases_of(backend: Backend, name: str, precision: str = "float64") -> list[Case]:
    """All cases of a backend, in the sizes that suit it."""
    return revalue_cases(backend, precision, *SHAPES[name]) + other_cases(backend, precision, _OTHERS[name])


def errors(backend: Backend, other: Backend, precision: str = "float64") -> dict[str, float]:
    """By function the largest difference between two backends on the same input, over the largest number.

    Both compute the CPU's sizes; aggregation and the tails of tiles as wide as either's own are left out.
    """
    out = {}
    pairs = zip(
        revalue_cases(backend, precision, *SHAPES["cpu"]), revalue_cases(other, "float64", *SHAPES["cpu"]), strict=True
    )
    for case, twin in pairs:
        got, wanted = backend.to_host(case.run()).astype(np.float64), other.to_host(twin.run())
        out[case.name] = float(np.abs(got - wanted).max() / np.abs(wanted).max())
    return out

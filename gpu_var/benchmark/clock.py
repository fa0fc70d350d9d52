"""Repeated timing: the median, and how far the runs lie from it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Timing:
    """Seconds of repeated runs: the median, and the quartiles as their spread."""

    median: float
    lower: float
    upper: float
    runs: int

    @classmethod
    def of(cls, seconds: list[float]) -> "Timing":
        """The timing of runs, one or more."""
        lower, median, upper = np.quantile(seconds, [0.25, 0.5, 0.75]).tolist()
        return cls(median, lower, upper, len(seconds))


def timed(
    run: Callable[[], object],
    wait: Callable[[], object] = lambda: None,
    *,
    runs: int = 20,
    budget: float = 2.0,
    warm_up: int = 1,
) -> Timing:
    """Seconds that `run` takes.

    Args:
        run: what to time.
        wait: called after each run and within its time, until the device has done it.
        runs: at most so many.
        budget: seconds after which no other run begins, warming up included; one is always timed.
        warm_up: runs before the first that counts.
    """
    begun = time.perf_counter()
    for _ in range(warm_up):
        run()
        wait()
    seconds: list[float] = []
    while not seconds or (len(seconds) < runs and time.perf_counter() - begun < budget):
        begin = time.perf_counter()
        run()
        wait()
        seconds.append(time.perf_counter() - begin)
    return Timing.of(seconds)

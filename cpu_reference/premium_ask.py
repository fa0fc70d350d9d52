"""Premiums that fits ask for, computed for many fits at once: alone each is too small for NumPy to be busy with."""

from collections.abc import Generator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from cpu_reference.boundary import Puts
from cpu_reference.exercise import exercise_premium

F8 = npt.NDArray[np.float64]

_Result = TypeVar("_Result")


class Ask(NamedTuple):
    """Puts of strike 1 and one expiry, and where their early-exercise premium is asked for."""

    x: F8  # (b, m) as for ``exercise_premium``
    rate: F8  # (b,)
    dividend: F8  # (b,)
    vol: F8  # (b,)
    years: float
    from_boundary: bool
    tolerance: float


class Answer(NamedTuple):
    """What was asked for."""

    premium: F8  # (b, m)
    upper: F8  # (b,) ln of the boundary


def answered_together(fits: Sequence[Generator[Ask, Answer, _Result]]) -> list[_Result]:
    """What each of the fits returns. They go on step by step, and what they ask for in a step is computed at once.

    Which fits run together matters to the last digits of their results alone, by rounding.
    """
    results: dict[int, _Result] = {}
    answers: dict[int, Answer | None] = dict.fromkeys(range(len(fits)))
    while answers:
        asks: dict[int, Ask] = {}
        for i, answer in answers.items():
            try:
                asks[i] = next(fits[i]) if answer is None else fits[i].send(answer)
            except StopIteration as end:
                results[i] = end.value
        answers = {}
        alike: dict[tuple[int, bool, float], list[int]] = {}
        for i, ask in asks.items():
            alike.setdefault((ask.x.shape[1], ask.from_boundary, ask.tolerance), []).append(i)
        for group in alike.values():
            answers |= dict(zip(group, _answers([asks[i] for i in group]), strict=True))
    return [results[i] for i in range(len(fits))]


def _answers(asks: list[Ask]) -> list[Answer]:
    """One call for asks of one width, tolerance and origin."""
    x, rate, dividend, vol = (np.concatenate([ask[i] for ask in asks]) for i in range(4))
    years = np.repeat([ask.years for ask in asks], [len(ask.rate) for ask in asks])
    with np.errstate(all="ignore"):
        found = exercise_premium(
            x, Puts(rate, dividend, vol, years), tolerance=asks[0].tolerance, from_boundary=asks[0].from_boundary
        )
    ends = np.cumsum([len(ask.rate) for ask in asks])[:-1]
    return [Answer(*pair) for pair in zip(np.split(found.premium, ends), np.split(found.upper, ends), strict=True)]

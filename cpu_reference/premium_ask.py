"""Premiums that many fits ask for in one step, computed together: alone each is too small for NumPy to be busy with."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cpu_reference.boundary import Puts
from cpu_reference.exercise import Solver, Unit, exercise_premium

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.intp]


class Ask(NamedTuple):
    """Puts of strike 1, and where their early-exercise premium is asked for."""

    x: F8  # (b, m) as for ``exercise_premium``
    puts: Puts  # (b,)
    owner: I8  # (b,) likewise
    unit: Unit | None  # likewise
    tolerance: float


class Answer(NamedTuple):
    """What was asked for."""

    premium: F8  # (b, m)
    upper: F8  # (b,) ln of the boundary


def answered(asks: Sequence[Ask], solver: Solver) -> list[Answer]:
    """The answers to some asks; those of one width, tolerance and origin are computed in one call.

    What else is asked for together matters to the last digits alone, by rounding, unless it has the same owner.
    """
    answers: dict[int, Answer] = {}
    alike: dict[tuple[int, Unit | None, float], list[int]] = {}
    for i, ask in enumerate(asks):
        alike.setdefault((ask.x.shape[1], ask.unit, ask.tolerance), []).append(i)
    for group in alike.values():
        answers |= zip(group, _answers([asks[i] for i in group], solver), strict=True)
    return [answers[i] for i in range(len(asks))]


def _answers(asks: list[Ask], solver: Solver) -> list[Answer]:
    """One call for asks of one width, tolerance and origin."""
    x, owner = np.concatenate([ask.x for ask in asks]), np.concatenate([ask.owner for ask in asks])
    puts = Puts(*(np.concatenate(column) for column in zip(*(ask.puts for ask in asks), strict=True)))
    first = asks[0]
    with np.errstate(all="ignore"):
        found = exercise_premium(x, puts, tolerance=first.tolerance, unit=first.unit, solver=solver, owner=owner)
    ends = np.cumsum([len(ask.x) for ask in asks])[:-1]
    return [Answer(*pair) for pair in zip(np.split(found.premium, ends), np.split(found.upper, ends), strict=True)]

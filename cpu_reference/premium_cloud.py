"""At which pairs of (r, q) the early-exercise premiums of a chain's scenarios are fitted.

Most often one of them moves alone: rates have factors of their own, and dividends stand still. Then the scenarios lie
on a line, and so do the pairs, however many the scenarios are. Else the pairs are the scenarios' own.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cpu_reference.chebyshev import basis, extrema
from cpu_reference.reached import ROUNDING

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.intp]

_ALONG = 65  # pairs along a line


class Cloud(NamedTuple):
    """Pairs of (r, q) of the put."""

    pair: F8  # (k, 2)
    inverse: I8 | None  # (n_scenarios,) which of them each scenario is; None: they lie along what the scenarios reach
    moving: F8 | None  # (n_scenarios,) then: what moves, r or q

    @property
    def by_rate(self) -> bool:
        """Of pairs along a line, whether r moves."""
        return bool(self.pair[0, 0] != self.pair[-1, 0])

    def weights(self, chosen: I8) -> F8:
        """(n_scenarios, len(chosen)) from what is known at some pairs of a line to the scenarios: Lagrange's
        polynomials, by way of Chebyshev's, of ln r or of q."""
        if self.moving is None:
            raise ValueError("the pairs are the scenarios' own; expected pairs along a line")
        line, wanted = self.pair[:, 0 if self.by_rate else 1], self.moving
        if self.by_rate:
            line, wanted = np.log(line), np.log(wanted)
        t, nodes = ((2 * a - (line[0] + line[-1])) / (line[-1] - line[0]) for a in (wanted, line[chosen]))
        count = len(chosen)
        return np.asarray(np.linalg.solve(basis(nodes, count).T, basis(t, count).T).T)


class Seen(NamedTuple):
    """What is known of some arrays, by id: other chains have the same."""

    ends: dict[int, tuple[float, float]]  # the least and the greatest number
    distinct: dict[int, tuple[F8, I8]]  # the distinct numbers, ascending, and which of them each is


def cloud_of(r: F8, q: F8, years: float, seen: Seen) -> Cloud:
    """Pairs along a line where one of them moves alone, in many scenarios, and exercise pays for r > 0; else as of
    `distinct`.

    Args:
        r, q: (n_scenarios,) of the put.
        seen: of other chains; added to.
    """
    still = _still(r, q, years, seen)
    if still[0] == still[1] or len(r) <= 2 * _ALONG:
        return distinct(r, q, years, seen)
    moving = q if still[0] else r
    low, high = seen.ends[id(moving)]
    if not (np.isfinite(low + high) and (low if still[1] else r[0]) > 0):
        return distinct(r, q, years, seen)
    ends = np.log([low, high]) if still[1] else np.array([low, high])
    line = ends[0] + (1 - extrema(_ALONG)) / 2 * (ends[1] - ends[0])
    line = np.exp(line) if still[1] else line
    line[[0, -1]] = low, high
    return Cloud(_pair(line, r, q, still), None, moving)


def distinct(r: F8, q: F8, years: float, seen: Seen) -> Cloud:
    """The scenarios' pairs that differ by more than rounding, ascending; arguments as for `cloud_of`."""
    still = _still(r, q, years, seen)
    if all(still):
        return Cloud(np.array([[r[0], q[0]]]), for_all(np.zeros(1, dtype=np.intp), len(r)), None)
    if any(still):
        moving = q if still[0] else r
        if id(moving) not in seen.distinct:
            seen.distinct[id(moving)] = np.unique(moving, return_inverse=True)
        values, inverse = seen.distinct[id(moving)]
        return Cloud(_pair(values, r, q, still), inverse, None)
    order = r.argsort()
    if (r[order[1:]] == r[order[:-1]]).any():
        order = np.lexsort((q, r))
    pair = np.stack([r, q], axis=1)[order]
    new = np.ones(len(pair), dtype=np.bool_)
    np.any(pair[1:] != pair[:-1], axis=1, out=new[1:])
    inverse = np.empty(len(pair), dtype=np.intp)
    inverse[order] = np.cumsum(new) - 1
    return Cloud(pair[new], inverse, None)


def _still(r: F8, q: F8, years: float, seen: Seen) -> tuple[bool, bool]:
    """Whether r, and whether q, is the same in all scenarios, but for what ln(F/S) has lost of its digits."""
    return _moves_little(r, years, seen), _moves_little(q, years, seen)


def _moves_little(a: F8, years: float, seen: Seen) -> bool:
    if alike(a):
        return True
    if id(a) not in seen.ends:
        seen.ends[id(a)] = float(a.min()), float(a.max())
    low, high = seen.ends[id(a)]
    return (high - low) * years <= ROUNDING


def _pair(values: F8, r: F8, q: F8, still: tuple[bool, bool]) -> F8:
    """(k, 2) pairs in which one takes these values and the other is what it always is."""
    constant = np.full(len(values), r[0] if still[0] else q[0])
    return np.stack((constant, values) if still[0] else (values, constant), axis=1)


def alike(column: npt.NDArray[Any]) -> bool:
    """Whether one number stands for all."""
    return column.strides == (0,)


def for_all(one: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    """The number (1,) for all n, as `np.broadcast_to` would have it in ten times the time."""
    return np.ndarray((n,), one.dtype, one, strides=(0,))

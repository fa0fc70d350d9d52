"""Sums and matches inside groups: quantities laid end to end, group by group, on all of them at once."""

from typing import NamedTuple

import numpy as np

from gpu_var.tables.book import F8, I8, Bool


class Overlap(NamedTuple):
    """The pieces into which two rows of quantities cut each other; all (n_pieces,), ascending by group."""

    first: I8  # row of the first quantities, −1 where they are used up
    second: I8  # likewise
    size: F8  # > 0


def totals(group: I8, amount: F8, n: int) -> F8:
    """(n,) sums by group, 0…n − 1."""
    return np.asarray(np.bincount(group, amount, n), dtype=np.float64)


def starts(group: I8) -> Bool:
    """(n,) the first row of each group of equal numbers that stand together."""
    new: Bool = np.append(True, group[1:] != group[:-1])[: len(group)]
    return new


def running(amount: F8, group: I8) -> F8:
    """(n,) sums from the first row of its group to each row.

    Doubling scan (Hillis & Steele 1986): the rounding of a group is its own, however large the groups before it are.

    Args:
        amount: (n,).
        group: (n,) rows of a group stand together.
    """
    total, step = amount.copy(), 1
    begin = np.flatnonzero(starts(group))
    longest = int(np.diff(np.append(begin, len(group))).max(initial=0))
    while step < longest:
        total[step:] = total[step:] + np.where(group[step:] == group[:-step], total[:-step], 0.0)
        step *= 2
    return total


def overlaps(first: I8, first_size: F8, second: I8, second_size: F8) -> Overlap:
    """Match quantities with quantities in order: the first of a group with the first, until either is used up.

    Args:
        first, second: groups, ascending; a group may be missing on either side.
        first_size, second_size: quantities > 0.
    """
    group = np.concatenate([first, second])
    end = np.concatenate([running(first_size, first), running(second_size, second)])
    of_first = np.arange(len(group)) < len(first)
    order = np.lexsort((end, group))
    group, end, of_first = group[order], end[order], of_first[order]
    begin = np.where(starts(group), 0.0, np.append(0.0, end[:-1])[: len(end)])
    # The row that covers a piece is the first of its side whose end has not been passed.
    passed: I8 = np.cumsum(of_first) - of_first
    row = _within(passed, first, group)
    other = _within(np.arange(len(group)) - passed, second, group)
    kept = end > begin
    return Overlap(row[kept], other[kept], (end - begin)[kept])


def _within(row: I8, groups: I8, group: I8) -> I8:
    """The row where it belongs to the group, else −1."""
    last = np.append(groups, -1)
    inside = last[np.minimum(row, len(groups))] == group
    return np.where(inside, row, -1)

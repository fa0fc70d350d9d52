"""Moves that are written for patterns of factors: which they mean, and what is wrong with them."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import translate

import numpy as np

from gpu_var.market.factors import Factors
from gpu_var.market.patterns import is_name, matches, nearest_name
from gpu_var.market.unobserved import owner_of, owners
from gpu_var.tables.book import F8, Book, Bool
from gpu_var.tables.config import Config
from gpu_var.tables.findings import Findings, escaped, shown
from gpu_var.tables.schema import factor_kind


class Meant:
    """Which factors of a run patterns mean. What a pattern means is looked up once."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        self._row = {name: i for i, name in enumerate(self.names)}
        self._at: dict[str, Bool] = {}

    def at(self, pattern: str) -> Bool:
        """(F,) the factors that a pattern means. The array is shared: do not write to it."""
        found = self._at.get(pattern)
        if found is None:
            found = np.zeros(len(self.names), np.bool_)
            if not is_name(pattern):
                match = re.compile(translate(pattern)).match
                found[:] = [match(name) is not None for name in self.names]
            if pattern in self._row:
                found[self._row[pattern]] = True
            self._at[pattern] = found
        return found

    def last(self, written: Mapping[str, float]) -> F8:
        """(F,) what is written for each factor: that of the last pattern that means it; NaN for none."""
        out = np.full(len(self.names), np.nan)
        for pattern, value in written.items():
            out[self.at(pattern)] = value
        return out


class Checked:
    """Says what is wrong with written moves: of unknown factors, and falls of 100 % and more."""

    def __init__(self, book: Book, config: Config, factors: Factors, meant: Meant, findings: Findings) -> None:
        self.factors, self.meant, self.findings = factors, meant, findings
        self._others = owners(book, config)[1]
        self._near: dict[str, str | None] = {}
        self.idle: dict[str, None] = {}
        """Patterns that mean only what is not held."""

    def known(self, pattern: str, of: str, table: str, place: str) -> bool:
        """Whether a pattern means a factor of the run; a finding where it means none of the book either.

        Args:
            of: whose pattern it is, in words, or nothing.
            table: the file's name.
            place: the key that it stands under.
        """
        if self.meant.at(pattern).any():
            return True
        if pattern in ("*", f"{factor_kind(pattern)}:*") or any(matches(owner_of(pattern), o) for o in self._others):
            self.idle[pattern] = None
            return False
        if pattern not in self._near:
            self._near[pattern] = nearest_name(pattern, self.factors.names)
        near = self._near[pattern]
        hint = f"; the nearest is {shown(near)}" if near else ""
        text = f"{shown(pattern)}{of} is no factor{hint}; expected a factor, or a pattern"
        self.findings.error(table, text, place=place)
        return False

    def falls(self, pattern: str, amount: float, of: str, table: str, place: str) -> bool:
        """A finding where a relative change leaves nothing of a factor; returns whether it does."""
        relative = self.meant.at(pattern) & ~self.factors.additive
        if amount > -1.0 or not relative.any():
            return False
        name = self.factors.names[int(np.flatnonzero(relative)[0])]
        rule = "expected a relative change > -1"
        text = f"{shown(pattern)}{of}: {amount:g} leaves nothing of {escaped(name)}; {rule}"
        self.findings.error(table, text, place=place)
        return True


def still_forwards(said: Bool, factors: Factors) -> list[str]:
    """The forward curves, such as `forward:CL`, that have factors, of which none is said, though their spot's is.

    Args:
        said: (F,) the factors that a scenario names.
    """
    return [
        factors.names[curve.factor[0]].rpartition(":")[0]
        for spot, curve in zip(factors.spot, factors.forward, strict=True)
        if spot >= 0 and said[spot] and len(curve.factor) and not said[curve.factor].any()
    ]

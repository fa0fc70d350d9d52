"""What the shards of a chunk of accounts add up to, one after another in their fixed order."""

import numpy as np

from cpu_reference import Tail
from gpu_var.batch.shards import packed, unpacked
from gpu_var.batch.store import Arrays, size_of
from gpu_var.scenarios.model import ScenarioSet
from gpu_var.tables.book import F8, I8

_ROWS_AT_A_TIME = 1 << 22
"""Numbers that are added at a time: indexing by rows makes copies."""


class Totals:
    """Profit and loss of a chunk's accounts, and the tails of their cells, over the groups so far.

    What it holds can be kept and taken up again as if it were the result of a single shard.
    """

    def __init__(self, n_accounts: int, sets: tuple[ScenarioSet, ...]) -> None:
        self._n, self._sets = n_accounts, sets
        self._pnl: dict[str, F8] = {}
        self._tails: dict[str, list[F8]] = {s.model: [] for s in sets}
        self._cells = 0
        self._failed: dict[int, str] = {}
        self.direct: set[int] = set()
        self.revaluations = 0

    def add(self, part: Arrays) -> None:
        """Add the result of the next shard, or of all so far."""
        account = part["account"]
        cells, revaluations = (int(number) for number in part["counts"])
        for s in self._sets:
            self._pnl[s.model] = _added(self._pnl.get(s.model), account, part[f"pnl.{s.model}"], self._n)
            self._tails[s.model].append(part[f"tail.{s.model}"])
        self._failed |= {self._cells + int(cell): why for cell, why in unpacked(part["failed"]).items()}
        self._cells += cells
        self.direct |= set(part["direct"].tolist())
        self.revaluations += revaluations

    @property
    def bytes(self) -> int:
        """Of the profit and loss."""
        return size_of(self._pnl)

    def as_result(self) -> Arrays:
        """As the result of a single shard."""
        return {
            "account": np.arange(self._n),
            "failed": packed({str(cell): why for cell, why in sorted(self._failed.items())}),
            "direct": np.array(sorted(self.direct), dtype=np.int64),
            "counts": np.array([self._cells, self.revaluations], dtype=np.int64),
            **{f"tail.{model}": np.concatenate(tails, axis=1) for model, tails in self._tails.items()},
            **{f"pnl.{model}": pnl for model, pnl in self._pnl.items()},
        }

    def take(self) -> tuple[dict[str, F8], dict[str, Tail], dict[int, str]]:
        """Profit and loss (n_accounts, n_scenarios) by model, the tails of the cells by model, and why cells failed.

        The profit and loss is handed over, and no longer held here.
        """
        pnl = {s.model: self._pnl.pop(s.model, np.zeros((self._n, len(s.name)))) for s in self._sets}
        none = np.zeros((len(Tail._fields), 0))
        tails = {model: Tail(*np.concatenate([none, *parts], axis=1)) for model, parts in self._tails.items()}
        return pnl, tails, self._failed


def _added(into: F8 | None, rows: I8, values: F8, n: int) -> F8:
    """`values` added to the rows of `into`; what holds all rows is taken as it is, to save a copy."""
    if into is None and len(rows) == n:
        return values if values.flags.writeable else values.copy()
    into = np.zeros((n, values.shape[1])) if into is None else into
    step = max(1, _ROWS_AT_A_TIME // max(1, values.shape[1]))
    for first in range(0, len(rows), step):
        into[rows[first : first + step]] += values[first : first + step]
    return into

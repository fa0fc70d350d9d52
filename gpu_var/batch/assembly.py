"""The tables and the profit and loss of a run, put together from those of its chunks of accounts."""

from os import posix_fallocate
from pathlib import Path

import numpy as np
import pyarrow as pa

from gpu_var.batch.errors import WriteError
from gpu_var.margin.measured import Measured
from gpu_var.margin.requirement import pnl_of, tables_of
from gpu_var.tables.book import F8


class Assembly:
    """Chunks in the order of their accounts.

    Args:
        n_accounts: of the run.
        n_chunks: of the run. The profit and loss of a single one is taken as it is.
        scratch: where profit and loss of several chunks is kept, mapped into memory; None: in memory.

    `tables`, `pnl`, `scenarios` and `notes` are those of `Run`, `failed` the number of failed accounts.
    """

    def __init__(self, n_accounts: int, n_chunks: int, scratch: Path | None) -> None:
        self._n, self._single, self._scratch = n_accounts, n_chunks == 1, scratch
        self._tables: dict[str, list[pa.Table]] = {}
        self.pnl: dict[str, F8] = {}
        self.scenarios: dict[str, list[str]] = {}
        self.notes: list[str] = []
        self.failed = self.cells = 0

    def add(self, accounts: range, measured: Measured) -> None:
        """Add the next chunk. Raises `WriteError` where its profit and loss cannot be kept."""
        for name, table in tables_of(measured).items():
            self._tables.setdefault(name, []).append(table)
        pnl, self.scenarios = pnl_of(measured)
        for model, values in pnl.items():
            if self._single:
                self.pnl[model] = values
            else:
                if model not in self.pnl:
                    self.pnl[model] = self._room(model, values.shape[1])
                self.pnl[model][accounts.start : accounts.stop] = values
        self.notes += measured.notes
        self.failed += len(measured.failed)
        self.cells += len(measured.cells.account)

    @property
    def tables(self) -> dict[str, pa.Table]:
        """A column of each is one array, as if they had not been put together."""
        return {
            name: parts[0] if self._single else pa.concat_tables(parts).combine_chunks()
            for name, parts in self._tables.items()
        }

    def _room(self, model: str, n_scenarios: int) -> F8:
        shape = (self._n, n_scenarios)
        if self._scratch is None:
            return np.empty(shape)
        path = self._scratch / f"pnl-{model}"
        try:
            self._scratch.mkdir(exist_ok=True)
            with path.open("wb") as stream:
                # A disk that fills up under a mapped file ends the process; so its room is taken beforehand.
                posix_fallocate(stream.fileno(), 0, 8 * self._n * n_scenarios)
            return np.memmap(path, np.float64, "r+", shape=shape)
        except OSError as error:
            raise WriteError(path, error) from error

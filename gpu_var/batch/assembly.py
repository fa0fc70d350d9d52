"""The tables and the profit and loss of a run, put together from those of its chunks of accounts."""

import mmap
from os import posix_fallocate
from pathlib import Path

import numpy as np

from gpu_var.batch.errors import WriteError
from gpu_var.batch.kept import Kept
from gpu_var.margin.measured import Measured
from gpu_var.margin.requirement import pnl_of, tables_of
from gpu_var.tables.book import F8

CELLS = ("breakdown", "scan")
"""The tables with a row an account and underlying; the others have one an account."""


class Assembly:
    """Chunks in the order of their accounts.

    Args:
        n_accounts: of the run.
        n_chunks: of the run. The profit and loss of a single one is taken as it is.
        scratch: where of several chunks the rows of cells are kept, and the profit and loss, mapped into memory; None:
            in memory.

    `tables`, `pnl`, `scenarios` and `notes` are those of `Run`, `failed` the number of failed accounts.
    """

    def __init__(self, n_accounts: int, n_chunks: int, scratch: Path | None) -> None:
        self._n, self._single, self._scratch = n_accounts, n_chunks == 1, scratch
        self.tables = Kept(None if self._single else scratch, CELLS)
        self.pnl: dict[str, F8] = {}
        self._mapped: dict[str, mmap.mmap] = {}
        self.scenarios: dict[str, list[str]] = {}
        self.notes: list[str] = []
        self.failed = self.cells = 0

    def add(self, accounts: range, measured: Measured) -> None:
        """Add the next chunk. Raises `WriteError` where its profit and loss cannot be kept."""
        for name, table in tables_of(measured).items():
            self.tables.add(name, table)
        pnl, self.scenarios = pnl_of(measured)
        for model, values in pnl.items():
            if self._single:
                self.pnl[model] = values
            else:
                if model not in self.pnl:
                    self.pnl[model] = self._room(model, values.shape[1])
                self.pnl[model][accounts.start : accounts.stop] = values
                if model in self._mapped:  # it lies in the file: what has been written need not stay in memory
                    self._mapped[model].madvise(mmap.MADV_DONTNEED)
        self.notes += measured.notes
        self.failed += len(measured.failed)
        self.cells += len(measured.cells.account)

    def _room(self, model: str, n_scenarios: int) -> F8:
        shape = (self._n, n_scenarios)
        if self._scratch is None:
            return np.empty(shape)
        path = self._scratch / f"pnl-{model}"
        try:
            self._scratch.mkdir(exist_ok=True)
            with path.open("w+b") as stream:
                # A disk that fills up under a mapped file ends the process; so its room is taken beforehand.
                posix_fallocate(stream.fileno(), 0, 8 * self._n * n_scenarios)
                self._mapped[model] = mmap.mmap(stream.fileno(), 8 * self._n * n_scenarios)
            return np.frombuffer(self._mapped[model]).reshape(shape)
        except OSError as error:
            raise WriteError(path, error) from error

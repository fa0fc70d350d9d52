"""A run: a book and a configuration become margins, and files."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpu_var import __version__
from gpu_var.backend import Name
from gpu_var.batch.executors import Executor
from gpu_var.batch.fingerprint import hashes, sha256
from gpu_var.batch.folder import RUN, OutputFolder, output_folder, refuse_in_book
from gpu_var.batch.host import resolve_backend, thread_count
from gpu_var.batch.kept import Kept
from gpu_var.batch.outputs import pnl_table, write_arrow, write_json, write_pieces
from gpu_var.batch.record import provenance
from gpu_var.batch.sharded import requirement
from gpu_var.batch.store import Store
from gpu_var.engine import Progress, nothing
from gpu_var.margin.measured import Setting
from gpu_var.margin.what_if import Portfolio, what_if
from gpu_var.market.checks import check
from gpu_var.market.factors import Factors
from gpu_var.tables.book import Book
from gpu_var.tables.config import Config
from gpu_var.tables.findings import Findings
from gpu_var.tables.sources import digests, in_folder

Page = Callable[["Run"], str]
DIAGNOSTICS = "diagnostics"
"""The table that goes with the profit and loss: it tells what the losses of each account look like."""


@dataclass(frozen=True, eq=False)
class Run:
    """The result of a run, in base currency.

    `tables` are `margin`, `breakdown`, `diagnostics` and, where [scan] is enabled, `scan`; `pnl` holds by model the
    P&L (n_accounts, n_scenarios) in the order of `margin`, gains positive, and `scenarios` the names of its columns.
    """

    tables: Kept
    notes: list[str]
    pnl: Mapping[str, npt.NDArray[np.float64]]
    scenarios: Mapping[str, list[str]]
    counts: Mapping[str, int]
    timings: Mapping[str, float]
    config: Config
    book: Path
    backend: Name
    precision: str
    threads: int
    inputs: Mapping[str, str]  # SHA-256 by name
    started: datetime
    shards: Mapping[str, int]  # planned, and found as an interrupted run had left them
    measured: Setting = field(repr=False)
    _portfolios: dict[int, Portfolio] = field(default_factory=dict, repr=False)

    @property
    def margin(self) -> pa.Table:
        """A row an account."""
        return self.tables["margin"]

    @property
    def breakdown(self) -> pa.Table:
        """A row an account and underlying."""
        return self.tables["breakdown"]

    @property
    def failed(self) -> pa.Table:
        """The rows of `margin` whose account failed."""
        return self.margin.filter(pc.not_equal(self.margin["status"], pa.scalar("ok")))

    def what_if(self, trades: pa.Table | Mapping[str, Any], account: str | None = None) -> pa.Table:
        """The margin of accounts, and all that it is made of, before and after some trades.

        `trades` has the columns instrument and quantity (signed contracts) and, unless they are all of `account`,
        account. Returns the columns account, component, before, after, change, in base currency: the numbers of a run
        over the book that has traded. The first question about an account takes seconds, in which everything that is
        listed on its underlyings is revalued; later ones take milliseconds. Raises `InputError` for what the book does
        not have.
        """
        table = trades if isinstance(trades, pa.Table) else pa.table(dict(trades))
        return what_if(self.measured, table, account, self._portfolios)

    def plan(self, pnl: bool) -> dict[str, Any]:
        """All that the bytes of the tables depend on."""
        return plan(self.config, self.inputs, self.backend, self.precision, pnl)

    def write(
        self, out_dir: str | Path, pnl: bool = False, overwrite: bool = False, page: Page | None = None
    ) -> list[Path]:
        """Write the outputs to the folder `out_dir`, with the P&L if `pnl`, and return their paths.

        `page` makes `report.html` of the run. Raises `UsageError` where `out_dir` holds a run and `overwrite` is not
        given, `WriteError` where it cannot be written.
        """
        out = Path(out_dir)
        refuse_in_book(out, self.book, "out_dir")
        with output_folder(out, "overwrite" if overwrite else "new", self.plan(pnl)) as folder:
            return [] if folder is None else self.write_into(folder, pnl, page)

    def write_into(
        self, folder: OutputFolder, pnl: bool, page: Page | None, more: Mapping[str, Any] | None = None
    ) -> list[Path]:
        """As `write`, into a folder that is locked already; `more` is what `run.json` says besides."""
        begun = time.perf_counter()
        files: dict[str, Callable[[BinaryIO], object]] = {
            f"{name}.parquet": partial(write_pieces, self.tables.pieces(name))
            for name in self.tables
            if pnl or name != DIAGNOSTICS
        }
        if pnl:
            account = self.margin["account"]
            for model, values in self.pnl.items():
                files[f"pnl_{model}.arrow"] = partial(write_arrow, pnl_table(account, values, self.scenarios[model]))
        if page is not None:
            text = page(self).encode()
            files["report.html"] = lambda stream: stream.write(text)
        for name, write in files.items():
            folder.write(name, write)
        facts = dict(more or {}) | self.facts(pnl)
        facts["outputs"] = {name: sha256(folder.written(name)) for name in sorted(files)}
        facts["timings"] |= {"writing": time.perf_counter() - begun}
        folder.write(RUN, partial(write_json, facts))
        return folder.publish()

    def facts(self, pnl: bool = False) -> dict[str, Any]:
        """What `run.json` says but for the outputs; `pnl` is whether they have the profit and loss."""
        known = provenance(self.plan(pnl), self.backend, self.threads, self.book, self.started, self.notes)
        return known | {
            "counts": dict(self.counts),
            "shards": dict(self.shards),
            "timings": dict(self.timings),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def run(
    book: Book,
    config: Config,
    backend: str = "auto",
    precision: str = "float64",
    threads: int | None = None,
) -> Run:
    """Margin a book.

    `backend` is auto, cpu or cuda; `threads` defaults to every core that the process may use, and changes no bit of the
    result. Raises `InputError` with every finding where book and configuration do not fit, `UsageError` for an unknown
    backend or precision, `RunError` where the backend is not there.
    """
    started = datetime.now(UTC)
    findings = Findings()
    factors = check(book, config, findings)
    findings.raise_if_any()
    assert factors is not None
    resolved = resolve_backend(backend, precision)
    inputs = hashes(book.path, in_folder(book), None) | digests(book)
    return compute(
        book,
        config,
        factors,
        findings.notes,
        inputs,
        backend=resolved,
        precision=precision,
        threads=threads,
        started=started,
    )


def compute(
    book: Book,
    config: Config,
    factors: Factors,
    notes: Iterable[str],
    inputs: Mapping[str, str],
    *,
    backend: Name,
    precision: str,
    threads: int | None,
    started: datetime,
    progress: Progress = nothing,
    timings: Mapping[str, float] | None = None,
    store: Store | None = None,
    executor: Executor | None = None,
) -> Run:
    """Margin a checked book; `inputs` are the SHA-256 of its files, `timings` the seconds spent since `started`.

    `store` keeps the results of shards until the run is whole, `executor` computes them, by default here.
    """
    count = thread_count(threads)
    result = requirement(
        book,
        config,
        factors,
        backend=backend,
        precision=precision,
        threads=count,
        progress=progress,
        store=store,
        executor=executor,
    )
    return Run(
        tables=result.tables,
        notes=list(dict.fromkeys([*book.notes, *notes, *result.notes])),
        pnl=result.pnl,
        scenarios=result.scenarios,
        counts=result.counts,
        timings=dict(timings or {}) | result.timings,
        config=config,
        book=book.path,
        backend=backend,
        precision=precision,
        threads=count,
        inputs=inputs,
        started=started,
        shards=result.shards,
        measured=result.measured,
    )


def plan(config: Config, inputs: Mapping[str, str], backend: str, precision: str, pnl: bool) -> dict[str, Any]:
    """All that the bytes of the tables depend on, as plain JSON values."""
    return {
        "version": __version__,
        "backend": backend,
        "precision": precision,
        "pnl": pnl,
        "config": plain(config),
        "inputs": dict(inputs),
    }


def plain(config: Config) -> dict[str, Any]:
    """The configuration with every default filled in, as JSON values."""
    tree: dict[str, Any] = json.loads(json.dumps(config.as_dict(), default=str))
    return tree

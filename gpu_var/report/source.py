"""What the page is made from: a run that has just ended, or the folder of one that ended some time ago."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpu_var.batch.finished import facts_of, output_of
from gpu_var.batch.folder import MARGIN
from gpu_var.batch.run import Run

BREAKDOWN, DIAGNOSTICS, SCAN = "breakdown.parquet", "diagnostics.parquet", "scan.parquet"

_FACTS = ("version", "versions", "backend", "device", "precision", "inputs", "config", "counts", "notes")
"""What the page tells of `run.json`: nothing that differs from one time, host or number of threads to another."""

COLLATERAL = (
    "initial",
    "maintenance",
    "collateral",
    "collateral_market_value",
    "requirement",
    "excess",
    "standing",
)
"""The columns that end `margin.parquet` where collateral is weighed; those between them and the add-ons are charges."""

BASIC = ("core", "concentration", "liquidity")

CELLS = (
    "account",
    "underlying",
    "currency",
    "delta",
    "vega",
    "core",
    "days_to_unwind",
    "horizon_days",
    "concentration",
    "liquidity_delta",
    "liquidity_vega",
)
"""The columns of `breakdown.parquet` that the page reads: the others of a large house would not fit in memory."""


def moment(config: Mapping[str, Any]) -> str:
    """`2026-01-05 00:00:00 UTC`: the `as_of` of a configuration as plain values."""
    return str(config["as_of"]).replace("T", " ").replace("Z", " UTC").replace("+00:00", " UTC")


@dataclass(frozen=True, eq=False)
class Source:
    """A finished run as its page reads it."""

    margin: pa.Table
    breakdown: pa.Table
    diagnostics: pa.Table | None  # in the order of `margin`; None: an earlier version's run, which has none
    facts: Mapping[str, Any]
    scan: pa.Table | None = None
    name: str = ""  # of its folder, where it was read from one

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration as plain values, every default filled in."""
        config: Mapping[str, Any] = self.facts["config"]
        return config

    @property
    def currency(self) -> str:
        """The base currency."""
        return str(self.config["base_currency"])

    @property
    def as_of(self) -> str:
        """`2026-01-05 00:00:00 UTC`."""
        return moment(self.config)

    @property
    def day(self) -> str:
        """As `as_of`, without a time of midnight."""
        return self.as_of.removesuffix(" 00:00:00 UTC")

    @property
    def components(self) -> list[str]:
        """The columns that add up to the margin."""
        return [*BASIC, *self.charges]

    @property
    def charges(self) -> list[str]:
        """The columns that are added to core, concentration and liquidity."""
        names = self.margin.column_names
        last = names[names.index("net_option_value") + 1 :]
        return [c for c in last if c not in COLLATERAL and pa.types.is_floating(self.margin[c].type)]

    @property
    def ok(self) -> npt.NDArray[np.bool_]:
        """(n_accounts,): the account has a margin."""
        return np.asarray(pc.equal(self.margin["status"], "ok"), dtype=np.bool_)

    def has(self, column: str) -> bool:
        """Whether the margins have a column, with something in it."""
        return column in self.margin.column_names and self.margin[column].null_count < self.margin.num_rows

    def amount(self, column: str) -> npt.NDArray[np.float64]:
        """A column of the margins as (n_accounts,) numbers, NaN where it is null or not there."""
        if column not in self.margin.column_names:
            return np.full(self.margin.num_rows, np.nan)
        return numbers(self.margin, column)


def numbers(table: pa.Table, column: str) -> npt.NDArray[np.float64]:
    """A column of numbers as an array, NaN where it is null."""
    return np.asarray(table[column].to_numpy(), dtype=np.float64)


def texts(table: pa.Table, column: str) -> npt.NDArray[np.object_]:
    """A column of text as an array, None where it is null."""
    return np.array(table[column].to_pylist(), dtype=object)


def of_run(run: Run) -> Source:
    """A run that has just ended."""
    facts = run.facts()
    scan = run.tables.get("scan")
    return Source(
        margin=_whole(run.margin),
        breakdown=_whole(run.tables.select("breakdown", CELLS)),
        diagnostics=_whole(run.tables["diagnostics"]),
        facts={key: facts[key] for key in _FACTS},
        scan=None if scan is None else _whole(scan),
    )


def read(out: str | Path) -> Source:
    """The run whose folder is `out`.

    Raises:
        UsageError: it holds no finished run, or a table is not the one that its run wrote.
    """
    folder = Path(out)
    facts = facts_of(folder, (*_FACTS, "outputs"))
    outputs = facts["outputs"]
    wanted = [name for name in (MARGIN, BREAKDOWN, DIAGNOSTICS, SCAN) if name in (MARGIN, BREAKDOWN, *outputs)]
    tables = {name: _whole(output_of(folder, name, outputs)) for name in wanted}
    return Source(
        margin=tables[MARGIN],
        breakdown=tables[BREAKDOWN],
        diagnostics=tables.get(DIAGNOSTICS),
        facts={key: facts[key] for key in _FACTS},
        scan=tables.get(SCAN),
        name=folder.resolve().name,
    )


def _whole(table: pa.Table) -> pa.Table:
    """In one chunk, so that sums are taken in one order wherever the table came from."""
    return table.combine_chunks()

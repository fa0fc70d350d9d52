"""What the page and the terminal read of a stress test: its tables, and what `stress.json` says of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpu_var.report.source import moment, numbers, texts

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
Text = npt.NDArray[np.object_]

FACTS = (
    "version",
    "versions",
    "backend",
    "device",
    "precision",
    "inputs",
    "config",
    "rules",
    "counts",
    "notes",
    "close_out",
    "reverse",
    "reverse_map",
)
"""What the page tells of `stress.json`: nothing that differs from one time, host or number of threads to another."""


@dataclass(frozen=True, eq=False)
class Members:
    """Members by scenarios, base currency; (n_members, n_scenarios) each, losses positive."""

    name: Text  # (n_members,)
    group: Text  # (n_members,)
    contribution: F8  # (n_members,)
    house: F8
    client: F8
    loss: F8
    margin: F8
    shortfall: F8


@dataclass(frozen=True, eq=False)
class Waterfall:
    """What the default of some groups takes from each layer, scenario by scenario; base currency."""

    defaulters: list[list[str]]  # (n_scenarios,) groups or members
    layer: tuple[str, ...]
    available: F8  # (n_scenarios, n_layers), NaN for what is uncovered
    used: F8  # (n_scenarios, n_layers)


@dataclass(frozen=True, eq=False)
class Shocks:
    """The factors that move, scenario after scenario: one entry a scenario and factor."""

    factor: list[str]
    origins: list[tuple[str, str]]  # where a move comes from, and for proxies the factors that stand for it
    first: I8  # (n_scenarios + 1,) where a scenario's entries begin
    of: I8  # (n,) index into `factor`
    shock: F8  # (n,) relative, or a difference
    additive: Bool  # (n,)
    origin: I8  # (n,) index into `origins`


@dataclass(frozen=True, eq=False)
class StressSource:
    """A stress test as it is shown."""

    tables: Mapping[str, pa.Table]
    facts: Mapping[str, Any]

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration of the margins, every default filled in."""
        config: Mapping[str, Any] = self.facts["config"]
        return config

    @property
    def rules(self) -> Mapping[str, Any]:
        """The scenario file, every default filled in."""
        rules: Mapping[str, Any] = self.facts["rules"]
        return rules

    @property
    def resources(self) -> Mapping[str, Any] | None:
        """The rules of the default resources; None without them."""
        rules: Mapping[str, Any] | None = self.rules.get("resources")
        return rules

    @property
    def against(self) -> str:
        """What stands before a loss: margin, collateral, or the larger of the two."""
        return "margin" if self.resources is None else str(self.resources["against"])

    @property
    def n_cover(self) -> int:
        """How many groups the resources are held against."""
        return 2 if self.resources is None else int(self.resources["cover"])

    @property
    def currency(self) -> str:
        """The base currency."""
        return str(self.config["base_currency"])

    @property
    def as_of(self) -> str:
        """`2026-01-05 00:00:00 UTC`."""
        return moment(self.config)

    def has(self, table: str) -> bool:
        """Whether a table is there, with rows."""
        return table in self.tables and self.tables[table].num_rows > 0

    def rows(self, table: str) -> list[dict[str, Any]]:
        """A table's rows; none where it is not there."""
        return self.tables[table].to_pylist() if self.has(table) else []

    def cover(self, column: str) -> F8:
        """(n_scenarios,) amounts of the cover, NaN where they are null."""
        return numbers(self.tables["cover"], column)

    @cached_property
    def scenario(self) -> Text:
        """(n_scenarios,) names, as the cover has them."""
        return texts(self.tables["cover"], "scenario")

    @cached_property
    def order(self) -> I8:
        """(n_scenarios,) the scenarios, the worst first: by what is left uncovered, then by Cover N, then Cover 1."""
        keys = [self.cover("cover_1"), self.cover("cover_n"), np.nan_to_num(self.cover("uncovered"))]
        return np.lexsort([np.arange(len(self.scenario)), *(-key for key in keys)]).astype(np.int64)

    @cached_property
    def members(self) -> Members:
        """From the table, in which every member has every scenario, in one order."""
        table, n = self.tables["members"], max(1, len(self.scenario))

        def of(column: str) -> F8:
            return numbers(table, column).reshape(-1, n)

        return Members(
            texts(table, "member")[::n],
            texts(table, "group")[::n],
            numbers(table, "contribution")[::n],
            *(of(name) for name in ("house_loss", "client_loss", "loss", "margin", "shortfall")),
        )

    @cached_property
    def ranked(self) -> I8:
        """(n_members,) the members, the worst first: by their largest shortfall, then their largest loss / margin."""
        m = self.members
        ratio = np.divide(m.loss, m.margin, out=np.zeros_like(m.loss), where=m.margin > 0.0)
        worst = (m.shortfall.max(axis=1, initial=0.0), ratio.max(axis=1, initial=0.0))
        return np.lexsort([np.arange(len(m.name)), -worst[1], -worst[0]]).astype(np.int64)

    @cached_property
    def waterfall(self) -> Waterfall | None:
        """From the table, in which every scenario has every layer, in one order; None without resources."""
        if self.resources is None or not self.has("waterfall"):
            return None
        table = self.tables["waterfall"]
        layers = tuple(table["layer"].slice(0, table.num_rows // len(self.scenario)).to_pylist())
        shape = (len(self.scenario), len(layers))
        return Waterfall(
            table["defaulters"].to_pylist()[:: len(layers)],
            layers,
            numbers(table, "available").reshape(shape),
            numbers(table, "used").reshape(shape),
        )

    @cached_property
    def told(self) -> "Told":
        """What is said of the scenarios, from their table, in which every scenario has every factor, in one order."""
        n = len(self.scenario)
        table = self.tables["scenarios"]
        factors = table.num_rows // n if n else 1
        first = table.take(pa.array(np.arange(n) * factors))
        given = {one["name"]: one for one in self.rules.get("scenario", [])}
        own = [given.get(name.removesuffix(_MIRROR), {}) for name in first["sequence"].to_pylist()]
        return Told(
            texts(first, "family"),
            texts(first, "source"),
            np.array([one.get("spreads", 1.0) for one in own], dtype=np.float64),
            np.array([one.get("adv", 1.0) for one in own], dtype=np.float64),
        )

    @cached_property
    def additive(self) -> Mapping[str, bool]:
        """Factor -> whether it moves by differences."""
        table, n = self.tables["scenarios"], len(self.scenario)
        first = table.slice(0, table.num_rows // n if n else 0)
        units = zip(first["factor"].to_pylist(), first["unit"].to_pylist(), strict=True)
        return {factor: unit == "difference" for factor, unit in units}

    @cached_property
    def shocks(self) -> Shocks:
        """The factors that move, from the table."""
        n = len(self.scenario)
        table = self.tables["scenarios"]
        factors = table.num_rows // n if n else 0
        names = table["factor"].slice(0, factors).to_pylist()
        origin, origins = _coded(table, "origin")
        by, words = _coded(table, "by")
        moved = np.flatnonzero(origin != (origins.index("unmoved") if "unmoved" in origins else -1))
        pair, code = np.unique(np.stack([origin[moved], by[moved]]), axis=1, return_inverse=True)
        said = [(origins[o], words[b] if b >= 0 else "") for o, b in pair.T.tolist()]
        unit, units = _coded(table, "unit")
        difference = units.index("difference") if "difference" in units else -1
        return Shocks(
            names,
            said,
            np.searchsorted(moved, np.arange(n + 1) * factors),
            moved % max(1, factors),
            numbers(table, "shock")[moved],
            unit[moved] == difference,
            code.reshape(-1),
        )


@dataclass(frozen=True, eq=False)
class Told:
    """What is said of scenarios; (n_scenarios,) each."""

    family: Text
    source: Text
    spreads: F8  # factor on spreads
    adv: F8  # factor on daily volumes


_MIRROR = " (mirror)"


def _coded(table: pa.Table, column: str) -> tuple[I8, list[str]]:
    """A column of text as (n,) codes, −1 for null, and the words that they stand for."""
    values = table[column].combine_chunks()
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    codes = np.asarray(values.indices.fill_null(-1), dtype=np.int64)
    return codes, values.dictionary.to_pylist()

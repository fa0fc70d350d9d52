"""What has changed since a previous run: in all, account by account, and in what the two were computed from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpu_var.batch.errors import UsageError
from gpu_var.report.source import Source, texts

_TOLD = {"version": "version of gpu-var", "backend": "backend", "device": "device", "precision": "precision"}


@dataclass(frozen=True, eq=False)
class Movement:
    """From a previous run to this one; base currency. Arrays are in the order of this run's margins."""

    previous: Source
    then: npt.NDArray[np.float64]  # (n_accounts,) the margin then, NaN for a new account or one that failed then
    new: npt.NDArray[np.bool_]  # (n_accounts,) the account is not in the previous run
    parts: Mapping[str, npt.NDArray[np.float64]]  # component -> (n_accounts,) its amount then, NaN likewise
    scenario: npt.NDArray[np.object_]  # (n_accounts,) the worst scenario then
    gone: pa.Table  # account, margin: of the previous run alone, the largest first
    total_then: float
    by_new: float  # the margins of new accounts
    by_gone: float  # the margins of those that are gone, negative
    by_failure: float  # of accounts that have a margin in one of the runs alone, for they failed in the other
    shared: float  # the change of the accounts that have a margin in both
    parameters: list[tuple[str, str, str]]  # name, then, now

    def change(self, now: Source) -> npt.NDArray[np.float64]:
        """(n_accounts,) of the margin, that of a new account from 0; NaN where it failed in one of the runs."""
        return now.amount("margin") - np.where(self.new, 0.0, self.then)


def movement(now: Source, previous: Source) -> Movement:
    """What has changed from `previous` to `now`. Raises `UsageError` where their base currencies differ."""
    refuse_other_currency(previous, now.currency)
    place = pc.index_in(now.margin["account"], value_set=previous.margin["account"])
    row = np.asarray(place.to_numpy(), dtype=np.float64)
    new = np.isnan(row)
    at = np.where(new, 0, np.nan_to_num(row)).astype(np.int64)

    def then(column: str) -> npt.NDArray[np.float64]:
        values = previous.amount(column)
        return np.where(new, np.nan, values[at]) if len(values) else np.full(len(at), np.nan)

    before, after = then("margin"), now.amount("margin")
    scenarios = texts(previous.margin, "worst_scenario")
    scenario = np.full(len(at), None, dtype=object)
    scenario[~new] = scenarios[at[~new]]
    gone = _gone(now, previous)
    in_one = ~new & (np.isnan(before) != np.isnan(after))
    in_both = ~np.isnan(before) & ~np.isnan(after)
    return Movement(
        previous=previous,
        then=before,
        new=new,
        parts={c: _part(then(c), before) for c in dict.fromkeys([*now.components, *previous.components])},
        scenario=scenario,
        gone=gone,
        total_then=float(np.nansum(previous.amount("margin"))),
        by_new=float(np.nansum(after[new])),
        by_gone=-float(np.nansum(np.asarray(gone["margin"].to_numpy(), dtype=np.float64))),
        by_failure=float(np.nansum(after[in_one]) - np.nansum(before[in_one])),
        shared=float(np.sum(after[in_both] - before[in_both])),
        parameters=_parameters(previous.facts, now.facts),
    )


def refuse_other_currency(previous: Source, currency: str) -> None:
    """Raise `UsageError` where a previous run is in another base currency than this one."""
    if previous.currency != currency:
        raise UsageError(
            f"--previous {previous.name} is in {previous.currency} and this run in {currency}: no change can be told; "
            "give a run in the same base_currency"
        )


def _part(amount: npt.NDArray[np.float64], margin: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A component that was not enabled then was 0 where the account had a margin."""
    return np.where(np.isnan(amount) & ~np.isnan(margin), 0.0, amount)


def _gone(now: Source, previous: Source) -> pa.Table:
    left = pc.invert(pc.is_in(previous.margin["account"], value_set=now.margin["account"]))
    rows = previous.margin.select(["account", "margin"]).filter(left)
    return rows.sort_by([("margin", "descending"), ("account", "ascending")])


def _parameters(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    found = [(name, str(then[key]), str(now[key])) for key, name in _TOLD.items() if then[key] != now[key]]
    before, after = dict(lines(then["config"])), dict(lines(now["config"]))
    keys = dict.fromkeys([*after, *before])
    found += [
        (key, before.get(key, "not given"), after.get(key, "not given"))
        for key in keys
        if before.get(key) != after.get(key)
    ]
    return found


def lines(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """A tree of JSON values as (`a.b.c`, value) pairs; a table without keys is `enabled`."""
    out: list[tuple[str, str]] = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            out += lines(value, f"{prefix}{key}.") or [(f"{prefix}{key}", "enabled")]
        else:
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            out.append((f"{prefix}{key}", shown))
    return out

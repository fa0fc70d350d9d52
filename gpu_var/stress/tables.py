"""The tables of a stress test."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from scipy import sparse

from gpu_var.margin.columns import numbers
from gpu_var.stress.concentration import Concentration
from gpu_var.stress.cover import Cover
from gpu_var.stress.fund import Fund
from gpu_var.stress.house import House
from gpu_var.stress.losses import Exposure
from gpu_var.stress.shortfall import Shortfall
from gpu_var.stress.waterfall import LAYERS, Waterfall
from gpu_var.tables.book import I4, I8, Bool

ROWS = 1 << 20
"""Rows of `losses.parquet` made at a time, at least those of one account."""

LOSSES = pa.schema(
    [
        ("account", pa.dictionary(pa.int32(), pa.string())),
        ("member", pa.dictionary(pa.int32(), pa.string())),
        ("kind", pa.dictionary(pa.int32(), pa.string())),
        ("scenario", pa.dictionary(pa.int32(), pa.string())),
        ("status", pa.dictionary(pa.int32(), pa.string())),
        *((name, pa.float64()) for name in ("loss", "liquidation", "margin", "collateral")),
        *((name, pa.float64()) for name in ("loss_over_margin", "loss_over_collateral")),
    ]
)
"""`losses.parquet`: a row an account and scenario, accounts as in the book; null for a failed account's numbers."""


def losses(e: Exposure, house: House) -> Iterator[pa.Table]:
    """`losses.parquet` piece by piece, each some accounts in all scenarios.

    loss_over_margin is loss − margin, and loss_over_collateral loss − collateral, both 0 where that is negative.
    """
    n_accounts, n_scenarios = e.loss.shape
    if not n_scenarios:
        return
    names = pa.array(e.scenarios.set.name, pa.string())
    reasons = ["ok", *(f"failed: {reason}" for reason in e.failed.values())]
    status = np.zeros(n_accounts, dtype=np.int32)
    status[list(e.failed)] = np.arange(1, len(reasons))
    step = max(1, ROWS // n_scenarios)
    for rows in (slice(a, min(a + step, n_accounts)) for a in range(0, n_accounts, step)):
        accounts = e.measured.book.accounts.name.slice(rows.start, rows.stop - rows.start)
        loss, collateral = e.loss[rows], e.collateral[rows]
        margin = np.broadcast_to(e.margin[rows, None], loss.shape)
        of_account = (
            (np.arange(len(accounts)), accounts),
            (house.member_of[rows], house.name),
            (house.house[rows], ("client", "house")),
        )
        scenario = np.tile(np.arange(n_scenarios, dtype=np.int32), len(accounts))
        amounts = (
            loss,
            e.liquidation[rows],
            margin,
            collateral,
            np.maximum(loss - margin, 0.0),
            np.maximum(loss - collateral, 0.0),
        )
        columns = [
            *(_coded(np.repeat(code.astype(np.int32), n_scenarios), values) for code, values in of_account),
            pa.DictionaryArray.from_arrays(pa.array(scenario), names),
            _coded(np.repeat(status[rows], n_scenarios), reasons),
            *(numbers(values.ravel()) for values in amounts),
        ]
        yield pa.table(columns, schema=LOSSES)


def _coded(code: I4, values: Sequence[str] | pa.StringArray) -> pa.DictionaryArray:
    known = values if isinstance(values, pa.StringArray) else pa.array(values, pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(code), known)


def members(house: House, s: Shortfall, scenarios: Sequence[str], w: Waterfall | None) -> pa.Table:
    """`members.parquet`: a row a member and scenario; what it pays as a survivor is null without resources."""
    n_members, n_scenarios = s.member.shape
    groups = [house.group_name[g] for g in house.group.tolist()]
    nothing = np.full(s.member.shape, np.nan)
    flags = pa.nulls(s.member.size, pa.bool_()) if w is None else pa.array(w.defaulting.ravel())
    return pa.table(
        {
            "member": _repeated(house.name, n_scenarios),
            "group": _repeated(groups, n_scenarios),
            "scenario": _tiled(scenarios, n_members),
            **{
                name: numbers(values.ravel())
                for name, values in (
                    ("house_loss", s.house_loss),
                    ("client_loss", s.client_loss),
                    ("loss", s.loss),
                    ("margin", s.margin),
                    ("house_shortfall", s.house),
                    ("client_shortfall", s.client),
                    ("shortfall", s.member),
                )
            },
            "contribution": numbers(np.repeat(house.contribution, n_scenarios)),
            "defaults": flags,
            "fund_used": numbers((nothing if w is None else w.fund).ravel()),
            "assessed": numbers((nothing if w is None else w.assessed).ravel()),
        }
    )


def cover_table(house: House, cover: Cover, scenarios: Sequence[str], n: int, w: Waterfall | None) -> pa.Table:
    """`cover.parquet`: a row a scenario; `cover_n` is the Cover that the resources are held against.

    resources: what is there beyond margin if those n groups default, assessments among it; uncovered: what it leaves;
    holds: nothing is uncovered; holds_prefunded: nor is any survivor called for more than its contribution.
    """
    n_scenarios = len(scenarios)

    names = pa.array(house.group_name, pa.string())
    first = pa.array(cover.group[:, 0], mask=cover.group[:, 0] < 0)
    null, unknown = pa.nulls(n_scenarios, pa.float64()), pa.nulls(n_scenarios, pa.bool_())
    return pa.table(
        {
            "scenario": pa.array(scenarios, pa.string()),
            "cover_1": numbers(cover.amount[:, 0]),
            "cover_1_group": names.take(first),
            "cover_2": numbers(cover.amount[:, 1]),
            "cover_2_groups": _lists(names, cover.group[:, :2]),
            "cover_n": numbers(cover.amount[:, n - 1]),
            "cover_n_groups": _lists(names, cover.group[:, :n]),
            "resources": null if w is None else numbers(w.available[1:-1].sum(axis=0)),
            "uncovered": null if w is None else numbers(w.uncovered),
            "holds": unknown if w is None else pa.array(w.uncovered <= 0.0),
            "holds_prefunded": unknown if w is None else pa.array(w.beyond_prefunded <= 0.0),
        }
    )


def waterfall_table(house: House, w: Waterfall | None, scenarios: Sequence[str]) -> pa.Table:
    """`waterfall.parquet`: a row a scenario and layer; `left` is what the layer keeps, null for "uncovered"."""
    schema = pa.schema(
        [("scenario", pa.string()), ("defaulters", pa.list_(pa.string())), ("layer", pa.string())]
        + [(name, pa.float64()) for name in ("available", "used", "left")]
    )
    if w is None:
        return schema.empty_table()
    n = len(LAYERS)
    who = _defaulters(house, w.defaulting)
    return pa.table(
        [
            _repeated(scenarios, n),
            who.take(pa.array(np.repeat(np.arange(len(who)), n))),
            _tiled(LAYERS, len(scenarios)),
            numbers(w.available.T.ravel()),
            numbers(w.used.T.ravel()),
            numbers((w.available - w.used).T.ravel()),
        ],
        schema=schema,
    )


def _defaulters(house: House, defaulting: Bool) -> pa.ListArray:
    """(n_scenarios,) the defaulters: a group's name for all of its members, else the members' own."""
    shape = (len(house.group_name), len(house.name))
    member = sparse.csr_array((np.ones(shape[1]), (house.group, np.arange(shape[1]))), shape=shape)
    whole = member @ defaulting == np.bincount(house.group, minlength=shape[0])[:, None]
    single = defaulting & ~whole[house.group]
    every = np.concatenate([whole, single]).T
    rows = np.where(every, np.arange(every.shape[1]), -1)
    return _lists(pa.array((*house.group_name, *house.name), pa.string()), rows)


def _lists(names: pa.StringArray, rows: I8) -> pa.ListArray:
    """(n,) lists of names by their rows (n, k), of which −1 is none."""
    there = rows >= 0
    ends = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), names.take(pa.array(rows[there])))


def fund_table(house: House, fund: Fund) -> pa.Table:
    """`fund.parquet`: a row a member; `change` is what it has to bring more than it has contributed."""
    return pa.table(
        {
            "member": pa.array(house.name, pa.string()),
            "contribution": numbers(house.contribution),
            "stress_loss_over_margin": numbers(fund.stress_loss),
            "share": numbers(fund.share),
            "allocated": numbers(fund.allocated),
            "change": numbers(fund.allocated - house.contribution),
        }
    )


def concentration_table(e: Exposure, house: House, c: Concentration) -> pa.Table:
    """`concentration.parquet`: a row a scenario and account, the worst scenarios and in them the largest accounts.

    over: the account's loss beyond what stands before it; share: of the sum over all accounts; cumulative: of the
    shares so far; half: how many accounts make up half of the sum; herfindahl: the sum of all squared shares.
    """
    at, rank = np.nonzero(c.account >= 0)
    account = c.account[at, rank]
    share = c.over[at, rank] / c.total[at]
    running = np.cumsum(c.over, axis=1)[at, rank] / c.total[at]
    names = np.array(e.scenarios.set.name, dtype=object)[c.scenario[at]]
    member = house.member_of[account]
    return pa.table(
        {
            "scenario": pa.array(names, pa.string()),
            "rank": pa.array(rank + 1, pa.int64()),
            "account": e.measured.book.accounts.name.take(pa.array(account)),
            "member": pa.array(np.array(house.name, dtype=object)[member], pa.string()),
            "group": pa.array(np.array(house.group_name, dtype=object)[house.group[member]], pa.string()),
            "kind": pa.array(np.where(house.house[account], "house", "client"), pa.string()),
            "loss": numbers(e.loss[account, c.scenario[at]]),
            "over": numbers(c.over[at, rank]),
            "share": numbers(share),
            "cumulative": numbers(running),
            "half": pa.array(c.half[at], pa.int64()),
            "herfindahl": numbers(c.herfindahl[at]),
        }
    )


def _repeated(names: Sequence[str], times: int) -> pa.Array:
    """Each name so many times in a row."""
    return pa.array(names, pa.string()).take(pa.array(np.repeat(np.arange(len(names)), times)))


def _tiled(names: Sequence[str], times: int) -> pa.Array:
    """All names, so many times over."""
    return pa.array(names, pa.string()).take(pa.array(np.tile(np.arange(len(names)), times)))

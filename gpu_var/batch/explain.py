"""Why an account's margin is what it is, from a finished run: it is computed again, and must come out the same."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cpu_reference.types import OPTION
from gpu_var.batch.errors import RunError, UsageError
from gpu_var.batch.explained import (
    Row,
    binding_scenario,
    change_table,
    composition,
    contribution_table,
    driver_table,
    number,
    scan_table,
    scenario_table,
    shock_table,
    summed,
    trade_table,
)
from gpu_var.batch.host import thread_count
from gpu_var.batch.nearest import nearest_names
from gpu_var.batch.reopen import Finished, reopen
from gpu_var.engine import Progress, nothing
from gpu_var.margin.attribution import State, attribute
from gpu_var.margin.charges import charges
from gpu_var.margin.contributions import Contributions, adds_up, contributions, core_shares
from gpu_var.margin.measured import Measured
from gpu_var.margin.output import margin_table
from gpu_var.margin.requirement import measured
from gpu_var.market.state import fx_rates
from gpu_var.tables.config import Config
from gpu_var.tables.findings import escaped, shown
from gpu_var.tables.slices import of_accounts

EXACT = 1e-9
"""Relative: how exactly a margin is found again by the same version, backend and precision."""

_PRICE = {"float64": 1e-9, "float32": 2e-6}
"""Of spot: how far the prices of two backends may differ."""

_ROUNDING = 1e-13
"""Of spot: how far profit and loss may differ by the order in which it is summed."""


class FailedAccountError(RunError):
    """The account has no margin to explain; the message is the run's reason."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why an account's margin is what it is. Amounts in base currency, losses positive."""

    account: str
    config: Config
    row: Row  # of margin.parquet
    composition: pa.Table  # component, underlying, amount: they add up to the margin
    shares: dict[str, float]  # the models that core is made of, and the weight of each; empty without positions
    binding: tuple[str, str] | None  # model and scenario
    shocks: pa.Table  # factor, shock, before, after, tail_shock
    scenarios: pa.Table  # model, rank, scenario, loss, weight, var
    contributions: pa.Table  # a position a row; core, and each model, add up to what they bring
    by_underlying: pa.Table
    by_expiry: pa.Table
    scan: pa.Table | None  # the scan's figures, an underlying a row
    before: float | None  # the margin in the other run
    change: pa.Table | None  # step, part, change, margin, core: from the other run to this one
    trades: pa.Table | None  # instrument, before, after
    drivers: pa.Table | None  # factor, level and forecast volatility before and after
    notes: tuple[str, ...]
    books: tuple[Path, ...]  # that were read


def explain(
    out: str | Path,
    account: str,
    against: str | Path | None = None,
    *,
    top: int = 5,
    book: str | Path | None = None,
    against_book: str | Path | None = None,
    threads: int | None = None,
    progress: Progress = nothing,
) -> Explanation:
    """Explain an account's margin in a finished run and, given an earlier run, its change since then.

    Args:
        out: the folder of the run.
        against: the folder of the run to compare with.
        top: worst scenarios listed of each model.
        book: where the book lies now, if it has moved since; `against_book` likewise of the other run.
        threads: all cores unless given.

    Raises:
        UsageError: there is no such run, no such account, or the book is not what it was.
        FailedAccountError: the account failed.
        RunError: the margin is not found again.
    """
    if top < 1:
        raise UsageError(f"--top {top}; expected at least 1")
    count = thread_count(threads)
    progress("reading the run", 0.0)
    run = reopen(out, book)
    at = _row(run, account)
    row = run.margin.slice(at, 1).to_pylist()[0]
    _refuse_if_failed(run, account, row)
    other = None if against is None else _other(reopen(against, against_book), run, account)

    how: dict[str, Any] = {
        "backend": run.backend,
        "precision": run.precision,
        "threads": count,
        "progress": progress,
    }
    m = measured(of_accounts(run.book, np.array([at])), run.config, run.factors, **how)
    if 0 in m.failed:
        raise RunError(f"the margin of {run.out} is not found again: {m.failed[0]}")
    notes = [*run.notes, _found_again(run, at, number(margin_table(m, charges(m))["margin"][0].as_py()))]
    parts = contributions(m, **how)
    _refuse_if_off(parts, m)
    if m.scan is not None and "scan" not in parts.loss:
        notes.append("the scan discounts or damps an underlying's positions as a whole, so it is not split among them")
    change = None
    if other is not None:
        notes += [f"{other.out}: {note}" for note in other.notes]
        change = attribute(_state(other), _state(run), account, **how)
        notes += change.notes
        then = other.book.accounts.name.index(account).as_py()
        if then >= 0:
            _found_again(other, then, change.old)
    by_position = contribution_table(m, parts)
    binding = binding_scenario(m, row) if by_position.num_rows else None
    own = run.breakdown.filter(pc.equal(run.breakdown["account"], pa.scalar(account)))
    return Explanation(
        account=account,
        config=run.config,
        row=row,
        composition=composition(row, own),
        shares=core_shares(m) if by_position.num_rows else {},
        binding=binding,
        shocks=shock_table(m, parts, *(binding or ("", ""))),
        scenarios=scenario_table(m, parts, top),
        contributions=by_position,
        by_underlying=summed(by_position, "underlying"),
        by_expiry=summed(by_position, "expiry"),
        scan=scan_table(m),
        before=None if change is None else change.old,
        change=None if change is None else change_table(change),
        trades=None if other is None else trade_table(other.book, run.book, account),
        drivers=None if other is None else driver_table(_state(other), _state(run), account),
        notes=tuple(notes),
        books=tuple(one.book.path for one in (run, other) if one is not None),
    )


def _state(run: Finished) -> State:
    return State(run.book, run.config, run.factors)


def _row(run: Finished, account: str) -> int:
    at = int(run.book.accounts.name.index(account).as_py())
    if at < 0:
        near = ", ".join(shown(name) for name in nearest_names(account, run.book.accounts.name))
        raise UsageError(f"{run.out} has no account {shown(account)}; the nearest are {near}")
    return at


def _refuse_if_failed(run: Finished, account: str, row: Row) -> None:
    if row["status"] != "ok":
        raise FailedAccountError(f"account {escaped(account)} of {run.out} has no margin to explain: {row['status']}")


def _other(other: Finished, run: Finished, account: str) -> Finished:
    """The run to compare with, if its margins can be."""
    then, now = other.config.base_currency, run.config.base_currency
    if then != now:
        raise UsageError(
            f"margins of {other.out} are in {escaped(then)}, those of {run.out} in {escaped(now)}; expected the same "
            "base currency"
        )
    at = int(other.book.accounts.name.index(account).as_py())
    if at >= 0:
        _refuse_if_failed(other, account, other.margin.slice(at, 1).to_pylist()[0])
    return other


def _found_again(run: Finished, at: int, found: float) -> str:
    """That a margin has been found again; the shares of positions would else be those of another number."""
    stored = number(run.margin["margin"][at].as_py())
    off = abs(found - stored)
    if not off <= EXACT * abs(stored) + _allowed(run, at):
        because = f" ({'; '.join(run.notes)})" if run.notes else ""
        raise RunError(
            f"the margin of {run.out} is not found again: it says {stored!r}, and computed again it is "
            f"{found!r}{because}"
        )
    if not off:
        return "computed again, the margin is the same to the last digit"
    return f"computed again, the margin is the same to {off / max(abs(stored), off):.1g} of it"


def _allowed(run: Finished, at: int) -> float:
    """How far the margin of an account may differ for the rounding of what it holds and, of another backend or version,
    for its prices; also in the add-ons.
    """
    own = of_accounts(run.book, np.array([at]))
    i, p, u = own.instruments, own.positions, own.underlyings
    owner = i.underlying[p.instrument]
    margined = i.inverse[p.instrument] & (i.kind[p.instrument] != OPTION)
    value = np.abs(p.quantity * i.multiplier[p.instrument] * np.where(margined, 1.0, u.spot[owner]))
    notional = float((value * fx_rates(own, run.config.base_currency)[u.currency[owner]]).sum())
    account = pa.scalar(own.accounts.name[0].as_py())
    cells = run.breakdown.filter(pc.equal(run.breakdown["account"], account))
    days = float(pc.max(cells["horizon_days"]).as_py() or 0.0) / run.config.holding_period_days
    of_price = _PRICE[run.precision_then] if run.notes else _ROUNDING
    return float(2.0 * of_price * notional * max(1.0, days**0.5))


def _refuse_if_off(parts: Contributions, m: Measured) -> None:
    """Contributions that do not add up are worth nothing."""
    for model, tail in m.tails.items():
        if model in parts.loss:
            whole = float(getattr(tail, "worst" if model == "stress" else m.config.measure)[0])
            if not adds_up(parts.loss[model], whole):
                raise RunError(f"contributions to {model} add up to {parts.of(model)!r}, not to {whole!r}")

"""Why a margin changed between two runs: one thing after another is moved from the old run to the new, each time the
margin is computed in full, and the differences telescope, so that they add up to the change exactly.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cpu_reference.types import OPTION
from gpu_var.backend import Name, load_backend
from gpu_var.engine import Progress, nothing
from gpu_var.margin.charges import charges
from gpu_var.margin.measured import Measured
from gpu_var.margin.output import margin_table
from gpu_var.margin.requirement import measured
from gpu_var.market.checks import check
from gpu_var.market.factors import Factors, Tenors
from gpu_var.market.lookback import window
from gpu_var.scenarios.fhs import factor_returns, historical
from gpu_var.scenarios.model import ScenarioSet
from gpu_var.scenarios.scaling import factor_volatility
from gpu_var.tables.book import F8, I8, Accounts, Book, Bool, Collateral, Positions
from gpu_var.tables.config import Config
from gpu_var.tables.config_models import Fhs, MonteCarlo
from gpu_var.tables.findings import Findings
from gpu_var.tables.pledged import with_collateral
from gpu_var.tables.slices import of_accounts

POSITIONS, MARKET, VOLATILITY, SCENARIOS, PARAMETERS, ENTRANTS = STEPS = (
    "positions",
    "market",
    "volatility filter",
    "scenario set",
    "parameters",
    "positions in what is new",
)
"""What is moved from the old run to the new, in this order.

1. positions: the new quantities, in the old run's market, of what both runs know; the rest of the old ones is closed.
2. market: the new book's levels, curves, surfaces, liquidity data and as_of, in the old run's scenarios.
3. volatility filter: the old scenarios at the forecast of the new history, by the old parameters.
4. scenario set: the dates and paths of the new history, by the old parameters.
5. parameters: the new configuration.
6. positions in what is new: in instruments that the old run does not know, in the new market: now all is new.
"""


@dataclass(frozen=True)
class State:
    """A run: a checked book, its configuration and factors."""

    book: Book
    config: Config
    factors: Factors


@dataclass(frozen=True)
class Change:
    """The change of one account's margin, step by step; base currency."""

    old: float
    step: tuple[str, ...]
    margin: F8  # (n_steps,) after each step; the last is the new margin
    core: F8  # (n_steps + 1,) core before the first and after each step
    notes: tuple[str, ...]

    @property
    def change(self) -> F8:
        """(n_steps,) what each step adds; they sum to the change of the margin."""
        return np.diff(self.margin, prepend=self.old)

    @property
    def new(self) -> float:
        return float(self.margin[-1])


def attribute(
    old: State,
    new: State,
    account: str,
    *,
    backend: Name = "cpu",
    precision: str = "float64",
    threads: int | None = None,
    progress: Progress = nothing,
) -> Change:
    """Split the change of an account's margin from one run to another over `STEPS`.

    Where a step cannot be computed by itself, as the scenario set where the new history is too short for the old
    look-back, it moves nothing, and its effect is part of the next step's; a note says so. An account that is not in
    one of the runs holds nothing there.

    Raises:
        ValueError: the base currencies differ, or a step's margin is not a number; the message names it.
    """
    if old.config.base_currency != new.config.base_currency:
        pair = f"{old.config.base_currency} then, {new.config.base_currency} now"
        raise ValueError(f"the runs' base currencies differ: {pair}; expected the same")

    def compute(step: str, book: Book, config: Config, factors: Factors, sets: list[ScenarioSet] | None) -> Measured:
        return measured(
            book,
            config,
            factors,
            backend=backend,
            precision=precision,
            threads=threads,
            progress=lambda stage, done: progress(f"{step}: {stage}", done),
            sets=sets,
        )

    states = list(_states(old, new, account, compute))
    notes = [note for state in states for note in state[2]]
    margins, cores = zip(*(_margin(name, m) for name, m, _ in states), strict=True)
    return Change(margins[0], STEPS, np.array(margins[1:]), np.array(cores), tuple(notes))


_Compute = Callable[[str, Book, Config, Factors, list[ScenarioSet] | None], Measured]
_After = tuple[str, Measured, tuple[str, ...]]


def _states(old: State, new: State, account: str, compute: _Compute) -> Iterator[_After]:
    """The account measured in the old run and after each step."""
    both = common_instruments(old, new)
    before, after = _only(old.book, account), _only(new.book, account)
    kept = _known(after, both, old.book)

    m = compute("old run", before, old.config, old.factors, None)
    yield "old run", m, ()
    sets = list(m.sets.values())
    yield POSITIONS, compute(POSITIONS, _moved(kept, before, both), old.config, old.factors, sets), ()

    config = old.config.model_copy(update={"as_of": new.config.as_of})
    market = with_collateral(replace(kept, history=old.book.history), config)
    factors = carried(old.factors, with_collateral(old.book, old.config), market)
    yield MARKET, compute(MARKET, market, config, factors, sets), ()

    trial = Findings()
    renewed = check(new.book, config, trial)
    if renewed is None or trial.errors:
        reason = trial.errors[0] if trial.errors else "its history is missing"
        note = (
            f"{VOLATILITY} and {SCENARIOS} cannot be told from {PARAMETERS}, because the new book does not go with the "
            f"old configuration ({reason})"
        )
        m = compute(VOLATILITY, market, config, factors, sets)
        yield VOLATILITY, m, (note,)
        yield SCENARIOS, m, ()
    else:
        refiltered = _refiltered(sets, old, State(new.book, config, renewed))
        yield VOLATILITY, compute(VOLATILITY, market, config, factors, refiltered), ()
        yield SCENARIOS, compute(SCENARIOS, kept, config, renewed, None), ()
    yield PARAMETERS, compute(PARAMETERS, kept, new.config, new.factors, None), ()
    yield ENTRANTS, compute(ENTRANTS, after, new.config, new.factors, None), ()


def _margin(step: str, m: Measured) -> tuple[float, float]:
    """Margin and core, not floored, of the account."""
    if 0 in m.failed:
        raise ValueError(f"the margin after the step {step!r} is not a number: {m.failed[0]}")
    return float(margin_table(m, charges(m))["margin"][0].as_py()), float(m.core.amount[0])


@dataclass(frozen=True)
class Common:
    """The instruments that both runs know, under the same name and with the same terms."""

    new: I8  # rows of the new book's instruments, ascending
    old: I8  # rows of the old book's, one for each


def common_instruments(old: State, new: State) -> Common:
    """The instruments of the new book that can stand in the old run's market and scenarios.

    That is: the old book has one of this name with the same terms, on an underlying with the same currency, dynamics
    and carry, and the old run has factors for it as far as the new run has. An instrument's own `iv` is market data.
    """
    a, b = old.book, new.book
    at = _found(b.instruments.name, a.instruments.name)
    rows = np.flatnonzero(at >= 0)
    i, j = a.instruments, b.instruments
    then, now = at[rows], rows
    underlying = _found(b.underlyings.name, a.underlyings.name)
    u, v = i.underlying[then], j.underlying[now]
    same: Bool = (underlying[v] == u) & ((i.strike[then] == j.strike[now]) | np.isnan(i.strike[then] + j.strike[now]))
    for term in ("kind", "multiplier", "expiry", "sign", "american", "inverse"):
        same &= getattr(i, term)[then] == getattr(j, term)[now]
    for term in ("normal", "carry"):
        same &= getattr(a.underlyings, term)[u] == getattr(b.underlyings, term)[v]
    c, d = a.underlyings.currency[u], b.underlyings.currency[v]
    same &= np.array(a.currencies.name, dtype=object)[c] == np.array(b.currencies.name, dtype=object)[d]
    same &= (old.factors.spot[u] >= 0) | (new.factors.spot[v] < 0)
    same &= (old.factors.fx[c] >= 0) | (new.factors.fx[d] < 0)
    smiles = [np.array([len(curve.factor) > 0 for curve in run.factors.iv], dtype=np.bool_) for run in (old, new)]
    same &= (j.kind[now] != OPTION) | smiles[0][u] | ~smiles[1][v]
    return Common(now[same], then[same])


def carried(factors: Factors, source: Book, target: Book) -> Factors:
    """The factors of one book's run for another book: the same names in the same order, owners found by name."""
    u = _found(target.underlyings.name, source.underlyings.name)
    c = _found(pa.array(target.currencies.name, pa.string()), pa.array(source.currencies.name, pa.string()))
    none = Tenors(np.zeros(0), np.zeros(0, dtype=np.intp))
    return replace(
        factors,
        spot=np.append(factors.spot, -1)[u],
        fx=np.append(factors.fx, -1)[c],
        iv=tuple(factors.iv[row] if row >= 0 else none for row in u),
        forward=tuple(factors.forward[row] if row >= 0 else none for row in u),
        rate=tuple(factors.rate[row] if row >= 0 else none for row in c),
    )


def _found(names: pa.StringArray, known: pa.StringArray) -> I8:
    """(n,) the row of each name among the known ones, −1 for none."""
    return np.asarray(pc.index_in(names, known).fill_null(-1), dtype=np.int64)


def _only(book: Book, account: str) -> Book:
    """The book of one account; of nothing, if it does not know it."""
    row = book.accounts.name.index(account).as_py()
    if row >= 0:
        return of_accounts(book, np.array([row]))
    nobody = of_accounts(book, np.zeros(0, dtype=np.int64))
    accounts = Accounts(pa.array([account], pa.string()), pa.nulls(1, pa.string()), np.zeros(1, dtype=np.bool_))
    return replace(nobody, accounts=accounts)


def _known(own: Book, both: Common, old: Book) -> Book:
    """The new book of an account, with the positions and the collateral alone that the old run knows."""
    p, c = own.positions, own.collateral
    held = np.isin(p.instrument, both.new)
    assets = pa.concat_arrays([old.underlyings.name, pa.array(old.currencies.name, pa.string())])
    known = pc.is_in(c.asset, assets)
    at = known.to_numpy(zero_copy_only=False)
    return replace(
        own,
        positions=Positions(p.account[held], p.instrument[held], p.quantity[held]),
        collateral=Collateral(c.account[at], c.asset.filter(known), c.quantity[at]),
    )


def _moved(kept: Book, before: Book, both: Common) -> Book:
    """The old book of an account with its new positions and collateral."""
    p = kept.positions
    instrument = both.old[np.searchsorted(both.new, p.instrument)].astype(np.int32)
    order = np.argsort(instrument)
    positions = Positions(p.account, instrument[order], p.quantity[order])
    return replace(before, positions=positions, collateral=kept.collateral)


def _refiltered(sets: list[ScenarioSet], old: State, new: State) -> list[ScenarioSet]:
    """The old scenarios at the forecasts of the new history.

    A filtered return or a path is proportional to the forecast σ_{N+1} of its factor, a return that is scaled "mid" by
    half; a stress scenario, and a set at a volatility of its own, does not depend on it.
    """
    out = []
    for s in sets:
        fhs, carlo = old.config.fhs, old.config.monte_carlo
        if s.model == "fhs" and fhs is not None and fhs.scaling != "none":
            full, half = fhs.model_copy(update={"scaling": "full"}), fhs.scaling == "mid"
            config = old.config.model_copy(update={"fhs": full})
            scaled = historical(old.book, config, old.factors, load_backend("cpu")).shock if half else s.shock
            out.append(replace(s, shock=s.shock + scaled * ((_ratio(old, new, fhs) - 1.0) * (0.5 if half else 1.0))))
        elif s.model in _DRAWN and carlo is not None:
            out.append(replace(s, shock=s.shock * _ratio(old, new, carlo)))
        else:
            out.append(s)
    return out


_DRAWN = ("monte_carlo", "monte_carlo.perfect", "monte_carlo.zero")


def _ratio(old: State, new: State, model: Fhs | MonteCarlo) -> F8:
    """(n_factors,) new forecast over old one for each of the old factors; 1 where the new run has none, or one is 0."""
    then, now = forecast(old, model), forecast(new, model)
    at = _found(pa.array(old.factors.names, pa.string()), pa.array(new.factors.names, pa.string()))
    renewed = np.append(now, np.nan)[at]
    sound = (at >= 0) & (then > 0.0) & (renewed > 0.0)
    return np.asarray(np.divide(renewed, then, out=np.ones_like(then), where=sound))


def forecast(state: State, model: Fhs | MonteCarlo) -> F8:
    """(n_factors,) σ_{N+1}, the volatility of the next row of history."""
    _, levels = window(state.book.history, state.factors, model, state.config.as_of_us)
    returns = factor_returns(levels, state.factors.additive, state.config.returns)
    return np.asarray(factor_volatility(returns, model, state.factors.names, load_backend("cpu"))[-1])

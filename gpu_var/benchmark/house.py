"""A house as arrays, without files, and its revaluation through the engine: what `gpu-var run` does between reading and
writing.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from cpu_reference.price import Valuation
from gpu_var import engine
from gpu_var.backend import Name, load_backend
from gpu_var.cells import cells_of
from gpu_var.market.factors import Factors, Tenors
from gpu_var.market.state import underlyings
from gpu_var.scenarios.model import ScenarioSet
from gpu_var.tables import book as b
from gpu_var.tables.config import Config

AS_OF = np.datetime64("2026-01-05T00:00:00", "us").astype(np.int64)
DAY = 86_400_000_000
DAYS = np.array([1, 3, 7, 14, 30, 60, 91, 182, 273, 365, 547, 730])


class House(NamedTuple):
    """A book and what the engine needs beside it."""

    book: b.Book
    config: Config
    factors: Factors
    sets: list[ScenarioSet]


def house(
    instruments: int,
    scenarios: int,
    accounts: int,
    positions: int,
    underlyings: int = 50,
    seed: int = 1,
    rates: bool = False,
) -> House:
    """Options on stocks, half of them American, twelve expiries and a surface each; a spot and an iv factor each.

    Args:
        rates: whether two rates are factors, too, so that early exercise is worth something else in every scenario.

    Raises:
        ValueError: fewer positions than instruments, or more than instruments times accounts.
    """
    rng = np.random.default_rng(seed)
    spot = np.exp(rng.normal(4.5, 0.8, underlyings)).round(2)
    owner = rng.integers(0, underlyings, instruments).astype(np.int32)
    days = rng.choice(DAYS, instruments)
    strike = np.round(spot[owner] * np.exp(rng.normal(0.0, 0.35, instruments) * np.sqrt(days / 365)), 2)
    nan = np.full(underlyings, np.nan)

    account, held = _holdings(rng, instruments, accounts, positions)

    u, day, k = (
        a.ravel() for a in np.meshgrid(np.arange(underlyings), DAYS, np.linspace(-0.8, 0.8, 15), indexing="ij")
    )
    iv = rng.uniform(0.18, 0.6, underlyings)[u] * (1.0 - 0.2 * k + 0.3 * k * k) * (1.0 + 0.1 * np.exp(-day / 60.0))
    no_nodes = b.Nodes(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    names = [f"U{i:04d}" for i in range(underlyings)]
    book = b.Book(
        path=Path(),
        accounts=b.Accounts(
            pa.array([f"A{i}" for i in range(accounts)]), pa.nulls(accounts, pa.string()), np.zeros(accounts, np.bool_)
        ),
        positions=b.Positions(account, held, np.round(rng.normal(0.0, 20.0, positions)) + 0.5),
        instruments=b.Instruments(
            name=pa.nulls(instruments, pa.string()),
            kind=np.full(instruments, 3, np.int8),
            underlying=owner,
            multiplier=np.full(instruments, 100.0),
            expiry=AS_OF + days * DAY,
            strike=np.maximum(strike, 0.01),
            sign=rng.choice(np.array([1, -1], np.int8), instruments),
            american=rng.random(instruments) < 0.5,
            inverse=np.zeros(instruments, np.bool_),
            iv=np.full(instruments, np.nan),
        ),
        underlyings=b.Underlyings(
            pa.array(names),
            np.zeros(underlyings, np.int32),
            spot,
            np.zeros(underlyings, np.bool_),
            np.ones(underlyings, np.bool_),
            rng.uniform(0.0, 0.03, underlyings),
            nan,
            nan,
            nan,
            nan,
        ),
        currencies=b.Currencies(("USD",), np.ones(1)),
        forwards=no_nodes,
        vols=b.Nodes(u.astype(np.int32), AS_OF + day * DAY, np.round(spot[u] * np.exp(k), 6), iv),
        rates=b.Nodes(np.zeros(2, np.int32), AS_OF + np.array([30, 730]) * DAY, np.zeros(0), np.array([0.043, 0.038])),
        history=b.History(np.zeros(0, np.int64), (), np.zeros((0, 0))),
        collateral=b.Collateral(np.zeros(0, np.int32), pa.nulls(0, pa.string()), np.zeros(0)),
        files={},
        notes=(),
    )
    no_tenors = Tenors(np.zeros(0), np.zeros(0, np.intp))
    at = np.arange(underlyings, dtype=np.intp)
    curve = Tenors(np.array([30, 730]) / 365, underlyings + np.arange(2)) if rates else no_tenors
    n_rates = len(curve.years)
    kinds = ("iv",) * underlyings + ("rate",) * n_rates + ("spot",) * underlyings
    factors = Factors(
        names=tuple(
            [f"iv:{n}:30d" for n in names] + ["rate:USD:30d", "rate:USD:730d"][:n_rates] + [f"spot:{n}" for n in names]
        ),
        column=np.arange(len(kinds), dtype=np.intp),
        additive=np.array(kinds) == "rate",
        kind=kinds,
        spot=underlyings + n_rates + at,
        fx=np.full(1, -1, np.intp),
        iv=tuple(Tenors(np.array([30 / 365]), at[i : i + 1]) for i in at),
        forward=(no_tenors,) * underlyings,
        rate=(curve,),
    )
    common = rng.standard_t(5, (scenarios, 1)) * 0.008
    moves = common + rng.standard_t(5, (scenarios, underlyings)) * 0.01
    of_vols = -2.0 * moves + 0.02 * rng.normal(size=moves.shape)
    of_rates = rng.normal(size=(scenarios, n_rates)) * 0.0005
    shock = np.concatenate([of_vols, of_rates, moves], axis=1)
    sets = [ScenarioSet("monte_carlo", np.arange(scenarios).astype(str).tolist(), shock, 0, ())]
    config = Config.model_validate({"as_of": "2026-01-05", "base_currency": "USD", "monte_carlo": {"paths": scenarios}})
    return House(book, config, factors, sets)


def _holdings(rng: np.random.Generator, instruments: int, accounts: int, positions: int) -> tuple[b.I4, b.I4]:
    """The account and the instrument of each position, ascending, no pair of them twice.

    Everything is held by somebody; beyond that open interest is concentrated: in proportion to a Pareto weight, but by
    no more than all accounts.
    """
    if not instruments <= positions <= instruments * accounts:
        expected = f"{instruments:,} to {instruments * accounts:,}"
        raise ValueError(f"{positions:,} positions in {instruments:,} instruments; expected {expected}")
    weight = rng.pareto(1.2, instruments) + 0.01
    low, high = 0.0, accounts / weight.min()
    for _ in range(60):  # until halving no longer moves it
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(1 + middle * weight, accounts).sum() <= positions else (low, middle)
    share = np.minimum(1 + low * weight, accounts)
    holders = share.astype(np.int64)
    holders[np.argsort(holders - share)[: positions - holders.sum()]] += 1
    # An instrument's holders lie a stride apart that has no divisor in common with the accounts: none comes twice.
    strides = np.flatnonzero(np.gcd(np.arange(accounts + 1), accounts) == 1)
    first, stride = rng.integers(0, accounts, instruments), rng.choice(strides, instruments)
    held = np.repeat(np.arange(instruments, dtype=np.int32), holders)
    nth = np.arange(positions) - np.repeat(np.cumsum(holders) - holders, holders)
    account = ((np.repeat(first, holders) + nth * np.repeat(stride, holders)) % accounts).astype(np.int32)
    order = np.argsort(account.astype(np.min_scalar_type(accounts - 1)), kind="stable")  # 16 bits are counted
    return account[order], held[order]


def of_accounts(whole: House, accounts: int) -> House:
    """The first accounts' part of a house, in the same scenarios."""
    p = whole.book.positions
    mine = p.account < accounts
    book = replace(
        whole.book,
        accounts=b.Accounts(
            whole.book.accounts.name[:accounts],
            whole.book.accounts.member[:accounts],
            whole.book.accounts.house[:accounts],
        ),
        positions=b.Positions(p.account[mine], p.instrument[mine], p.quantity[mine]),
    )
    return whole._replace(book=book)


def in_scenarios(whole: House, n: int) -> House:
    """The house in its first scenarios only."""
    return whole._replace(sets=[replace(s, name=s.name[:n], shock=s.shock[:n]) for s in whole.sets])


class Ran(NamedTuple):
    """A run of the engine."""

    seconds: float
    sorting: float  # of these, seconds in which the host sorted instruments and cells
    revaluations: int
    pnl: Any  # (n_accounts, n_scenarios) NumPy
    tail: Any  # `Tail` of the accounts' losses


def run(of: House, backend_name: Name, threads: int, precision: str = "float64") -> Ran:
    """Revalue a house and measure its accounts; curves, boundaries and uploads are within the time, imports are not,
    nor is a copy of all profit and loss to the host, of which VaR and ES need none."""
    backend = load_backend(backend_name)
    with threadpool_limits(limits=1, user_api="blas"):  # as `gpu-var run` does: its threads are the engine's
        begin = time.perf_counter()
        parts = underlyings(of.book, of.config, np.flatnonzero(of.book.held))
        cells = cells_of(of.book)
        sorting = time.perf_counter() - begin
        out = engine.revalue(of.book, of.config, of.factors, parts, of.sets, cells, backend, threads, precision)
        pnl = out.pnl["monte_carlo"]
        measured = backend.tail(-pnl, of.config.level)  # on the host: whatever is computed has been
        seconds = time.perf_counter() - begin
    return Ran(seconds, sorting, out.revaluations, backend.to_host(pnl), measured)


def value(of: House, backend_name: Name, threads: int) -> tuple[float, Valuation]:
    """Seconds, and today's prices and Greeks of all that is held."""
    backend = load_backend(backend_name)
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        begin = time.perf_counter()
        valuation, _ = engine.value(of.book, of.config, np.flatnonzero(of.book.held), backend, pool)
        return time.perf_counter() - begin, valuation

"""Seeded books of any size, as Parquet folders: realistic strikes and expiries, positions that crowd near the money."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

AS_OF = np.datetime64("2026-01-05T00:00:00", "us")
DAYS = np.array([1, 3, 7, 14, 30, 60, 91, 182, 273, 365, 547, 730])


def write_house(
    folder: Path,
    *,
    instruments: int,
    accounts: int,
    positions: int,
    american: float,
    underlyings: int = 50,
    seed: int = 1,
) -> Path:
    """Write a house: options on `underlyings` stocks over twelve expiries, a surface each, two years of history.

    Args:
        american: the share of the options that are American.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    names = np.array([f"U{i:04d}" for i in range(underlyings)])
    spot = np.round(np.exp(rng.normal(4.5, 0.8, underlyings)), 2)

    owner = rng.integers(0, underlyings, instruments)
    expiry = AS_OF + rng.choice(DAYS, instruments).astype("timedelta64[D]")
    years = (expiry - AS_OF).astype(np.int64) / (365 * 86_400e6)
    strike = np.round(spot[owner] * np.exp(rng.normal(0.0, 0.35, instruments) * np.sqrt(years)), 2)
    write(
        folder / "instruments.parquet",
        instrument=np.char.add("I", np.arange(instruments).astype(str)),
        kind=np.full(instruments, "option"),
        underlying=names[owner],
        multiplier=np.full(instruments, 100.0),
        expiry=expiry,
        strike=np.maximum(strike, 0.01),
        right=np.where(rng.random(instruments) < 0.5, "call", "put"),
        exercise=np.where(rng.random(instruments) < american, "american", "european"),
    )
    # Everything is held by somebody; beyond that open interest is concentrated: a Zipf-like weight an instrument.
    weight = rng.pareto(1.2, instruments) + 0.01
    crowd = rng.choice(instruments, positions - instruments, p=weight / weight.sum())
    held = np.concatenate([rng.permutation(instruments), crowd])
    write(
        folder / "positions.parquet",
        account=np.char.add("A", rng.integers(0, accounts, positions).astype(str)),
        instrument=np.char.add("I", held.astype(str)),
        quantity=np.round(rng.normal(0.0, 20.0, positions)),
    )
    write(
        folder / "underlyings.parquet",
        underlying=names,
        currency=np.full(underlyings, "USD"),
        spot=spot,
        dividend_yield=np.round(rng.uniform(0.0, 0.03, underlyings), 4),
        adv=rng.uniform(1e6, 1e8, underlyings),
        vega_adv=rng.uniform(1e4, 1e6, underlyings),
        half_spread=np.full(underlyings, 0.0005),
        vol_half_spread=np.full(underlyings, 0.005),
    )
    moneyness = np.linspace(-0.8, 0.8, 15)
    u, day, k = (a.ravel() for a in np.meshgrid(np.arange(underlyings), DAYS, moneyness, indexing="ij"))
    level = rng.uniform(0.18, 0.6, underlyings)[u]
    write(
        folder / "vols.parquet",
        underlying=names[u],
        expiry=AS_OF + day.astype("timedelta64[D]"),
        strike=np.round(spot[u] * np.exp(k), 6),
        iv=level * (1.0 - 0.2 * k + 0.3 * k * k) * (1.0 + 0.1 * np.exp(-day / 60.0)),
    )
    write(
        folder / "rates.parquet",
        currency=np.full(2, "USD"),
        expiry=AS_OF + np.array([30, 730]).astype("timedelta64[D]"),
        rate=np.array([0.043, 0.038]),
    )
    dates = AS_OF - np.arange(519, -1, -1).astype("timedelta64[D]")
    market = rng.standard_t(5, (520, 1)) * 0.008
    history = {"date": dates}
    for i, name in enumerate(names):
        move = market[:, 0] + rng.standard_t(5, 520) * 0.01
        history[f"spot:{name}"] = spot[i] * np.exp(np.cumsum(move) - move.sum())
        history[f"iv:{name}:30d"] = level_path(rng, move, 0.3)
    write(folder / "history.parquet", **history)
    return folder


def level_path(rng: np.random.Generator, move: np.ndarray, level: float) -> np.ndarray:
    """A volatility that rises when its stock falls."""
    out = np.empty(len(move))
    log_level = 0.0
    for t, m in enumerate(move):
        log_level = 0.95 * log_level - 2.0 * m + 0.02 * rng.standard_normal()
        out[t] = level * np.exp(log_level)
    return out


def write(path: Path, **columns: np.ndarray) -> None:
    """One Parquet table."""
    pq.write_table(pa.table(columns), path)


def write_config(folder: Path, *, fhs: int = 500, paths: int = 0) -> Path:
    """margin.toml with `fhs` historical scenarios and `paths` Monte Carlo ones (0: without)."""
    text = f'as_of = {AS_OF}Z\nbase_currency = "USD"\nlevel = 0.99\n\n[fhs]\nlookback = {fhs}\n'
    if paths:
        text += f"\n[monte_carlo]\npaths = {paths}\n"
    path = folder / "margin.toml"
    path.write_text(text)
    return path

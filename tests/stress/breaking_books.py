"""Houses whose breaking points can be found on paper: linear books, planted barriers, two members that break apart."""

from pathlib import Path
from typing import Any

import numpy as np

from gpu_var.market.checks import load
from gpu_var.scenarios.language import stress_scenarios
from gpu_var.stress.house import house_of
from gpu_var.stress.losses import Exposure, exposure
from gpu_var.stress.reverse import ReverseStress, reverse_stress
from gpu_var.stress.shortfall import shortfalls
from gpu_var.tables.config_close_out import Reverse
from gpu_var.tables.config_stress_test import Resources, StressFile

AS_OF = "2026-01-05"
DAYS = 60
CONFIG = """\
as_of = 2026-01-05
base_currency = "USD"
returns = "simple"
level = 0.9
[fhs]
lookback = 60
decay = 0.94
"""


def returns(columns: int, size: float = 0.01, seed: int = 5) -> np.ndarray:
    """(DAYS, columns) correlated returns."""
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((DAYS, columns)) @ (np.eye(columns) + 0.4 * rng.standard_normal((columns, columns)))
    return size * mixed


def write(
    folder: Path, tables: dict[str, list[str]], levels: dict[str, float], config: str = CONFIG, **more: Any
) -> Path:
    """A book with a history of the factors of these levels; the moves of `iv:` factors are five times as large."""
    folder.mkdir(parents=True)
    moves = returns(len(levels))
    moves[:, [name.startswith("iv:") for name in levels]] *= 5.0
    path = np.concatenate([np.zeros((1, len(levels))), np.cumsum(np.log1p(moves), axis=0)])
    path = np.exp(path - path[-1]) * np.array(list(levels.values()))
    dates = np.datetime64(AS_OF) - np.arange(DAYS, -1, -1)
    rows = [f"{date},{','.join(f'{x!r}' for x in row)}" for date, row in zip(dates, path.tolist(), strict=True)]
    for name, lines in {**tables, "history": [f"date,{','.join(levels)}", *rows]}.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (folder / "margin.toml").write_text(config)
    return folder


def shares(
    folder: Path,
    held: dict[str, dict[str, float]],
    spots: dict[str, float],
    members: dict[str, float] | None = None,
    collateral: list[str] | None = None,
    config: str = CONFIG,
) -> Path:
    """House accounts, one a member and named like it, that hold shares; `members` are contributions."""
    tables = {
        "instruments": ["instrument,kind,underlying", *(f"{u},spot,{u}" for u in spots)],
        "underlyings": ["underlying,currency,spot", *(f"{u},USD,{s!r}" for u, s in spots.items())],
        "positions": ["account,instrument,quantity"]
        + [f"{a},{u},{q!r}" for a, own in held.items() for u, q in own.items()],
        "accounts": ["account,member,kind", *(f"{a},{a},house" for a in held)],
    }
    if members:
        tables["members"] = ["member,contribution", *(f"{m},{c!r}" for m, c in members.items())]
    if collateral:
        tables["collateral"] = ["account,asset,quantity", *collateral]
    return write(folder, tables, {f"spot:{u}": s for u, s in spots.items()}, config)


def exposed(folder: Path, file: dict[str, Any] | None = None) -> Exposure:
    """The exposure of a book to one mild scenario, unless a file says otherwise."""
    book, config, factors, _ = load(folder)
    rules = StressFile.model_validate(file or {"scenario": [{"name": "mild", "shocks": {"spot:*": -0.01}}]})
    return exposure(book, config, factors, stress_scenarios(rules, book, config, factors), threads=1)


def reversed_(e: Exposure, rules: Resources | None = None, **keys: Any) -> ReverseStress:
    """The reverse stress of an exposure."""
    rules = rules or Resources()
    house = house_of(e.measured.book)
    lost = shortfalls(e.loss, e.before(rules.against), house, rules)
    found = reverse_stress(e, house, rules, lost, Reverse.model_validate(keys))
    assert found is not None
    return found


def covariance(folder: Path, names: list[str]) -> np.ndarray:
    """Σ of the book's model, written out: EWMA volatilities from the sample variance on, Pearson correlation of r/σ."""
    lines = [line.split(",") for line in (folder / "history.csv").read_text().split()]
    level = np.array([[float(x) for x in line[1:]] for line in lines[1:]])
    r = level[1:] / level[:-1] - 1.0
    variance = [r.var(axis=0, ddof=1)]
    for row in r:
        variance.append(0.94 * variance[-1] + 0.06 * row**2)
    sigma = np.sqrt(variance)
    correlation = np.corrcoef(r / sigma[:-1], rowvar=False)
    out = np.atleast_2d(correlation) * np.outer(sigma[-1], sigma[-1])
    order = [lines[0][1:].index(name) for name in names]
    return out[np.ix_(order, order)]

"""How far the models' numbers can be trusted: sampling errors, exceedances, and how far the models are apart."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpu_var.margin.diagnostics import PREFIX, SIMULATED
from gpu_var.report.figures import MODELS
from gpu_var.report.source import Source, numbers

F8 = npt.NDArray[np.float64]

LARGE_ERROR = 0.05
"""A standard error, relative to its measure, from which on more paths are worth their time."""


@dataclass(frozen=True)
class Spread:
    """A number over the accounts."""

    name: str
    accounts: int  # that have it
    low: float  # 5 % of the accounts are below
    median: float
    high: float  # 5 % are above
    largest: float
    account: str  # whose is the largest


@dataclass(frozen=True)
class Exceedance:
    """How many scenarios of a model lose more than a limit."""

    name: str
    scenarios: int
    expected: float | None  # of so many scenarios at this level; None: the limit is no quantile
    over: Spread


def standard_errors(source: Source) -> tuple[list[Spread], int]:
    """The standard errors of Monte Carlo relative to their measure, and how many accounts are beyond `LARGE_ERROR` in
    the measure that counts."""
    out, large = [], 0
    for measure, name in (("var", "value at risk"), ("es", "expected shortfall")):
        of, error = source.amount(f"mc_{measure}"), source.amount(f"mc_{measure}_se")
        relative = np.divide(error, of, out=np.full(len(of), np.nan), where=of > 0)
        spread = _spread(source, f"Standard error of the Monte Carlo {name}", relative)
        if spread is not None:
            out.append(spread)
        if measure == source.config["measure"]:
            large = int(np.count_nonzero(relative > LARGE_ERROR))
    return out, large


def apart(source: Source) -> Spread | None:
    """Monte Carlo over filtered historical simulation, by the measure that counts."""
    measure = source.config["measure"]
    mc, fhs = source.amount(f"mc_{measure}"), source.amount(f"fhs_{measure}")
    ratio = np.divide(mc, fhs, out=np.full(len(mc), np.nan), where=(fhs > 0) & (mc > 0))
    return _spread(source, "Monte Carlo over filtered historical simulation", ratio)


def exceedances(source: Source) -> list[Exceedance]:
    """Scenarios that lose more than a VaR, of the own model or of the other, and more than the whole margin."""
    told = source.diagnostics
    if told is None:
        return []
    out = []
    tail = 1.0 - float(source.config["level"])
    for model, prefix in PREFIX.items():
        scenarios = int(source.facts["counts"].get(f"scenarios_{model}", 0))
        limits: list[tuple[str, str, float | None]] = [
            (f"{PREFIX[m]}_var", f"the VaR of {MODELS[m]}", scenarios * tail) for m in SIMULATED
        ]
        limits.append(("margin", "the account's margin", None))
        for key, words, expected in limits:
            column = f"{prefix}_beyond_{key}"
            if column not in told.column_names:
                continue
            counts = np.where(source.amount("margin") > 0, numbers(told, column), np.nan)
            spread = _spread(source, "", counts)
            if spread is not None:
                out.append(Exceedance(f"{MODELS[model]}: losses beyond {words}", scenarios, expected, spread))
    return out


def floors(source: Source) -> list[tuple[str, int]]:
    """What was floored, and for how many accounts."""
    held = np.asarray(source.margin["core_model"].is_valid(), dtype=np.bool_)
    no_core = source.ok & held & (source.amount("core") == 0)
    return [
        ("accounts without positions", int(np.count_nonzero(source.ok & ~held))),
        ("accounts whose core was floored at 0: no model sees a loss at this level", int(np.count_nonzero(no_core))),
        (
            "accounts with positions and no margin at all",
            int(np.count_nonzero(source.ok & held & (source.amount("margin") == 0))),
        ),
    ]


def _spread(source: Source, name: str, values: F8) -> Spread | None:
    there = np.flatnonzero(np.isfinite(values))
    if len(there) == 0:
        return None
    low, median, high = np.quantile(values[there], (0.05, 0.5, 0.95))
    at = int(there[values[there].argmax()])
    account = str(source.margin["account"][at].as_py())
    return Spread(name, len(there), float(low), float(median), float(high), float(values[at]), account)

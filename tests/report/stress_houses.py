"""Stress tests that never ran: losses drawn at random, sent through the real cover, waterfall and fund."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from gpu_var.report.stress_source import StressSource
from gpu_var.stress import tables
from gpu_var.stress.concentration import concentration
from gpu_var.stress.cover import cover
from gpu_var.stress.fund import fund_of
from gpu_var.stress.house import House
from gpu_var.stress.shortfall import shortfalls
from gpu_var.stress.waterfall import groups_of, waterfall
from gpu_var.tables.config_close_out import CloseOut, Reverse
from gpu_var.tables.config_stress_test import Resources, StressFile, WrittenScenario

CONFIG = {"as_of": "2026-01-05T00:00:00Z", "base_currency": "USD", "holding_period_days": 1, "fhs": {"lookback": 500}}
FAMILIES = ("history", "frb", "grid")
ORIGINS = ("unmoved", "named", "proxy", "beta", "correlation")
LAYERS = ("margin", "contribution", "own", "fund", "own_after", "assessments")


def stressed(
    members=8,
    scenarios=40,
    accounts=60,
    factors=6,
    seed=0,
    resources=None,
    names=None,
    scenario_names=None,
    account_names=None,
    size=1e6,
    broken=True,
):
    """A stress test of a house whose last two members are one group; member m has every (m + members·k)-th account.

    `resources` are keys of [resources], False for none; `broken` adds close-out and reverse stress.
    """
    rng = np.random.default_rng(seed)
    names = names or [f"member-{m:03d}" for m in range(members)]
    scenario_names = scenario_names or [f"{FAMILIES[s % 3]}:event-{s:04d}" for s in range(scenarios)]
    account_names = account_names or [f"account-{a:05d}" for a in range(accounts)]
    order = sorted(range(members), key=lambda m: names[m].encode())
    name = tuple(names[m] for m in order)
    group = [name[min(m, members - 2)] if members > 1 else name[0] for m in range(members)]
    group_name = tuple(sorted(set(group), key=str.encode))
    rules = Resources(**({"own": 2 * size, "own_after": size / 2} | (resources or {})))
    house = House(
        name,
        np.array([group_name.index(one) for one in group]),
        group_name,
        np.linspace(1.0, 3.0, members) * size,
        np.arange(accounts) % members,
        np.arange(accounts) % 5 == 0,
        np.ones(members, np.bool_),
    )
    severity = np.sort(rng.lognormal(0.0, 1.0, scenarios))[rng.permutation(scenarios)]
    loss = rng.normal(0.2, 1.0, (accounts, scenarios)) * rng.lognormal(0.0, 1.0, (accounts, 1)) * severity * size
    margin = np.abs(loss).sum(axis=1) / max(scenarios, 1)
    before = np.broadcast_to(margin[:, None], loss.shape)
    failed = np.zeros(accounts, np.bool_)
    s = shortfalls(loss, before, house, rules)
    covered = cover(s.group, max(2, rules.cover))
    defaulting = groups_of(covered, house, rules.cover)
    if rules.defaulters:
        defaulting = house.members_of(rules.defaulters)[:, None]
    fall = waterfall(s, house, rules, defaulting) if resources is not False else None
    tail = concentration(loss, before, failed, covered, rules.cover)
    exposure = SimpleNamespace(
        loss=loss,
        scenarios=SimpleNamespace(set=SimpleNamespace(name=scenario_names)),
        measured=SimpleNamespace(
            book=SimpleNamespace(accounts=SimpleNamespace(name=pa.array(account_names, pa.string())))
        ),
    )
    made = {
        "members": tables.members(house, s, scenario_names, fall),
        "cover": tables.cover_table(house, covered, scenario_names, rules.cover, fall),
        "waterfall": tables.waterfall_table(house, fall, scenario_names),
        "concentration": tables.concentration_table(exposure, house, tail),
        "scenarios": moves(rng, scenario_names, factors),
    }
    file = StressFile(
        scenario=(WrittenScenario(name="crash", shocks={"spot:*": -0.3}, spreads=3.0, adv=0.25),),
        resources=None if resources is False else rules,
        close_out=CloseOut() if broken else None,
        reverse=Reverse(layer=("margin", "fund")) if broken else None,
    )
    facts = {
        "version": "0.1.0",
        "versions": {"python": "3.11.0", "numpy": "2.0.0"},
        "backend": "cpu",
        "device": "a processor",
        "precision": "float64",
        "inputs": {"positions.parquet": "ab" * 32, "scenarios.toml": "cd" * 32},
        "config": CONFIG,
        "rules": file.as_dict(),
        "counts": {
            "scenarios": scenarios,
            "factors": factors,
            "accounts": accounts,
            "accounts_failed": 0,
            "members": members,
            "groups": len(group_name),
        },
        "notes": ["scenarios.toml: iv:X:30d has no proxy in the library"],
    }
    if resources is not False:
        made["fund"] = tables.fund_table(house, fund_of(s, covered, house, rules))
    if broken and scenarios:
        made |= {"close_out": close_out(), "reverse": reverse(factors), "reverse_map": grid()}
        facts |= {"close_out": both_ways(scenario_names[0], name[:2]), "reverse": found(name[:2])}
        facts |= {"reverse_map": {"x": "spot:*", "y": "iv:*", "revaluations": 1}}
    return StressSource(made, facts)


def factor_names(n):
    return [(f"spot:U{f:03d}", f"iv:U{f:03d}:30d", f"rate:C{f:03d}:1y")[f % 3] for f in range(n)]


def moves(rng, scenario_names, n):
    """`scenarios.parquet`: every third factor is a rate, whose moves are differences."""
    names, k = factor_names(n), len(scenario_names)
    origin = rng.integers(0, len(ORIGINS), (k, n))
    difference = np.array([name.startswith("rate:") for name in names], np.bool_)
    shock = np.where(origin == 0, 0.0, rng.normal(0.0, np.where(difference, 0.01, 0.2), (k, n)))
    family = [one.partition(":")[0] if one.partition(":")[0] in FAMILIES else "written" for one in scenario_names]

    def repeated(values):
        return pa.array([value for value in values for _ in range(n)], pa.string())

    return pa.table(
        {
            "scenario": repeated(scenario_names),
            "sequence": repeated(scenario_names),
            "step": np.ones(k * n, np.int64),
            "family": repeated(family),
            "factor": pa.array(names * k, pa.string()).dictionary_encode(),
            "shock": shock.ravel(),
            "unit": pa.array(np.where(difference, "difference", "relative").tolist() * k, pa.string()),
            "origin": pa.array([ORIGINS[o] for o in origin.ravel()], pa.string()).dictionary_encode(),
            "by": pa.array(["1.3 SPX" if o == 2 else None for o in origin.ravel()], pa.string()),
            "source": repeated([f"where {one} comes from" for one in scenario_names]),
        }
    )


def close_out():
    """`close_out.parquet` of two underlyings."""
    return pa.table(
        {
            "defaulters": [["a", "b"]] * 6,
            "scenario": ["crash"] * 6,
            "strategy": ["liquidate"] * 3 + ["hedge_and_auction"] * 3,
            "underlying": ["X", "Y", None] * 2,
            "delta": [100.0, -20.5, None] * 2,
            "vega": [10.0, 5.0, None] * 2,
            "volume_days": [2.0, 0.5, 2.0] * 2,
            "days": [8.0, 2.0, 8.0, 1.0, 1.0, 1.0],
            "spread": [10.0, 20.0, 30.0] * 2,
            "impact": [100.0, 50.0, 150.0, 200.0, 80.0, 280.0],
            "auction": [0.0, 0.0, 0.0, 40.0, 10.0, 50.0],
            "cost": [110.0, 70.0, 180.0, 250.0, 110.0, 360.0],
            "risk": [900.0, 300.0, 1000.0, 300.0, 100.0, None],
        }
    )


def both_ways(scenario, defaulters):
    parts = ("days", "spread", "impact", "auction", "cost", "risk")
    return {
        "defaulters": list(defaulters),
        "scenario": scenario,
        "revaluations": 7,
        "liquidate": dict(zip(parts, (8.0, 30.0, 150.0, 0.0, 180.0, 1000.0), strict=True)),
        "hedge_and_auction": dict(zip(parts, (1.0, 30.0, 280.0, 50.0, 360.0, None), strict=True)),
    }


def reverse(factors):
    """`reverse.parquet`: the margin breaks, the default fund was not found to."""
    names = factor_names(factors)
    return pa.table(
        {
            "layer": ["margin"] * factors,
            "distance": [4.2] * factors,
            "factor": names,
            "level": np.linspace(1.0, 100.0, factors),
            "stressed": np.linspace(0.5, 90.0, factors),
            "shock": np.linspace(-0.5, -0.1, factors),
            "sigmas": np.linspace(-4.0, -1.0, factors),
        }
    )


def found(defaulters):
    shared = {"complete": True, "start": "against the Greeks"}
    words = "margin: exhausted by a move of 4.20 standard deviations: a one-in-75,000-day move (300 years)"
    return [
        {"layer": "margin", "found": True, "distance": 4.2, "defaulters": list(defaulters), "shortfall": 1e5}
        | shared
        | {"words": words},
        {"layer": "fund", "found": False, "distance": None, "defaulters": [], "shortfall": 0.0}
        | shared
        | {"words": "fund: holds in every direction that was tried, up to 15 standard deviations"},
    ]


def grid(n=5):
    """`reverse_map.parquet`: one layer more is exhausted in every column to the left, and one line."""
    x, y = np.linspace(-0.6, 0.6, n), np.linspace(-0.5, 2.0, n)
    across, down = np.meshgrid(x, y)
    layer = [LAYERS[n - 1 - column] for _ in range(n) for column in range(n)]
    k = n * n
    return pa.table(
        {
            "line": pa.array([None] * k + [0, 0], pa.int64()),
            "x": np.append(across.ravel(), [0.15, 0.15]),
            "y": np.append(down.ravel(), [-0.5, 2.0]),
            "layer": [*layer, "margin", "margin"],
            "shortfall": pa.array([1.0] * k + [None, None]),
        }
    )

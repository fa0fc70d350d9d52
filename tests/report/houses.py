"""Runs that never ran: the tables of a house of any size, drawn at random, with every optional column."""

import numpy as np
import pyarrow as pa

from gpu_var.margin.diagnostics import BINS
from gpu_var.report.source import Source

CHARGES = (
    "diversification",
    "dependence",
    "correlation_break",
    "gamma_charge",
    "vega_charge",
    "short_option_minimum",
    "procyclicality",
)
CONFIG = {
    "as_of": "2026-01-05T00:00:00Z",
    "base_currency": "USD",
    "holding_period_days": 1,
    "level": 0.99,
    "measure": "es",
    "fhs": {"lookback": 500, "scaling": "full"},
    "monte_carlo": {"paths": 10000, "seed": 0},
    "liquidity": {},
}


def facts(n: int, **config: object) -> dict:
    """What `run.json` says of a house of `n` accounts, the configuration changed."""
    return {
        "version": "0.1.0",
        "versions": {"python": "3.11.0", "numpy": "2.0.0"},
        "backend": "cpu",
        "device": "a processor",
        "precision": "float64",
        "inputs": {"positions.parquet": "ab" * 32, "margin.toml": "cd" * 32},
        "config": CONFIG | config,
        "counts": {"accounts": n, "scenarios_fhs": 500, "scenarios_monte_carlo": 10000},
        "notes": ["underlyings.parquet has no adv for X"],
    }


def house(n: int, seed: int = 0, failed: int = 0, first: int = 0, **config: object) -> Source:
    """A house of `n` accounts named from `first` on, the last `failed` of them without a margin."""
    rng = np.random.default_rng(seed)
    names = [f"account-{i:06d}" for i in range(first, first + n)]
    good = np.arange(n) < n - failed

    def null(values):
        return pa.array(values, pa.string() if values.dtype == object else pa.float64(), mask=~good)

    parts = {"core": rng.lognormal(11, 2, n), "concentration": rng.lognormal(8, 3, n) * (rng.random(n) < 0.4)}
    parts |= {"liquidity": rng.lognormal(8, 1, n)}
    parts |= {name: rng.lognormal(7, 1, n) * (rng.random(n) < 0.2) for name in CHARGES}
    margin = sum(parts.values())
    collateral = margin * rng.lognormal(0.3, 0.3, n)
    model = np.where(rng.random(n) < 0.7, "fhs", "monte_carlo").astype(object)
    scenario = np.where(
        model == "fhs",
        np.char.add("fhs:2025-11-", rng.integers(10, 31, n).astype(str)),
        np.char.add("monte_carlo:", rng.integers(0, 10000, n).astype(str)),
    ).astype(object)
    es, ratio = parts["core"], rng.uniform(0.5, 1.1, n)
    table = {
        "account": pa.array(names, pa.string()),
        "currency": pa.array(["USD"] * n, pa.string()),
        "status": pa.array(
            np.where(good, "ok", "failed: profit and loss on X is not finite").astype(object), pa.string()
        ),
        "margin": null(margin),
        "core": null(parts["core"]),
        "core_model": null(model),
        "worst_scenario": null(scenario),
        "concentration": null(parts["concentration"]),
        "liquidity": null(parts["liquidity"]),
        "fhs_var": null(0.8 * es),
        "fhs_es": null(es),
        "fhs_worst": null(1.5 * es),
        "mc_var": null(0.7 * es * ratio),
        "mc_var_se": null(0.02 * es),
        "mc_es": null(es * ratio),
        "mc_es_se": null(0.03 * es),
        "mc_worst": null(1.8 * es),
        "scan": pa.nulls(n, pa.float64()),
        "stress": pa.nulls(n, pa.float64()),
        "net_option_value": null(rng.normal(0, 1e6, n)),
        **{name: null(parts[name]) for name in CHARGES},
        "initial": null(1.1 * margin),
        "maintenance": null(0.8 * margin),
        "collateral": null(collateral),
        "collateral_market_value": null(1.2 * collateral),
        "requirement": null(1.1 * margin),
        "excess": null(collateral - 1.1 * margin),
        "standing": null(
            np.select([collateral >= 1.1 * margin, collateral >= 0.8 * margin], ["safe", "call"], "liquidation").astype(
                object
            )
        ),
    }
    return Source(pa.table(table), _breakdown(rng, names, good), _diagnostics(rng, names, good), facts(n, **config))


def renamed(source: Source, names: list[str]) -> Source:
    """The same run with other names for its accounts, wherever they stand."""
    other = dict(zip(source.margin["account"].to_pylist(), names, strict=True))

    def rename(table: pa.Table) -> pa.Table:
        return table.set_column(0, "account", pa.array([other[name] for name in table["account"].to_pylist()]))

    assert source.diagnostics is not None
    return Source(rename(source.margin), rename(source.breakdown), rename(source.diagnostics), source.facts)


def _breakdown(rng, names, good):
    n = 3 * len(names)
    mask = ~np.repeat(good, 3)
    numbers = ("delta", "gamma", "vega", "theta", "core", "days_to_unwind", "horizon_days", "concentration")
    numbers += ("liquidity_delta", "liquidity_vega", "net_option_value")
    return pa.table(
        {
            "account": pa.array(np.repeat(np.array(names, dtype=object), 3), pa.string()),
            "underlying": pa.array([f"U{i % 40:02d}" for i in range(n)], pa.string()),
            "currency": pa.array(["USD"] * n, pa.string()),
            **{name: pa.array(rng.lognormal(0, 2, n), mask=mask) for name in numbers},
        }
    )


def _diagnostics(rng, names, good):
    n = len(names)
    columns = {
        "account": pa.array(names, pa.string()),
        "member": pa.array([f"member-{i % 37}" for i in range(n)], pa.string()),
        "kind": pa.array(["house" if i % 11 == 0 else "client" for i in range(n)], pa.string()),
    }
    for prefix, scenarios in (("fhs", 500), ("mc", 10000)):
        counts = rng.multinomial(scenarios, np.full(BINS, 1 / BINS), n).astype(np.int32)
        columns |= {
            f"{prefix}_beyond_margin": pa.array(rng.integers(0, 3, n), mask=~good),
            f"{prefix}_beyond_fhs_var": pa.array(rng.integers(3, 9, n), mask=~good),
            f"{prefix}_beyond_mc_var": pa.array(rng.integers(3, 9, n), mask=~good),
            f"{prefix}_first": pa.array(rng.normal(-1e5, 1e4, n), mask=~good),
            f"{prefix}_width": pa.array(rng.uniform(1e3, 1e4, n), mask=~good),
            f"{prefix}_counts": pa.FixedSizeListArray.from_arrays(
                pa.array(counts.reshape(-1)), BINS, mask=pa.array(~good)
            ),
        }
    return pa.table(columns)

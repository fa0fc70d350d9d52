"""A clearing house with three members, whose every number can be worked out by hand.

One share X at 100. The margin is the loss in a move of 10 % either way, so 10 a share held, long or short.
"""

from pathlib import Path

from gpu_var.market.checks import load
from gpu_var.scenarios.language import StressScenarios, stress_scenarios
from gpu_var.stress.stress_test import StressTest, stress_test
from gpu_var.tables.book import Book
from gpu_var.tables.config_stress_test import StressFile

HOLDINGS = {
    "alpha-house": ("alpha", "house", 10),
    "alpha-1": ("alpha", "client", 20),
    "alpha-2": ("alpha", "client", -15),
    "beta-house": ("beta", "house", 12),
    "gamma-house": ("gamma", "house", -22),
}
"""account -> member, kind, shares."""

CRASH = {"name": "crash", "shocks": {"spot:*": -0.3}}
RALLY = {"name": "rally", "shocks": {"spot:*": 0.2}}
RESOURCES = {"own": 60.0, "own_after": 50.0, "assessment": 1.0}
MEMBERS = {"alpha": ("", 150.0), "beta": ("", 360.0), "gamma": ("", 120.0)}
"""member -> group, contribution."""

CONFIG = """\
as_of = 2026-01-05
base_currency = "USD"
returns = "simple"
[stress]
[[stress.scenario]]
name = "down"
shocks = { "spot:*" = -0.1 }
[[stress.scenario]]
name = "up"
shocks = { "spot:*" = 0.1 }
"""


def house(
    folder: Path,
    holdings: dict[str, tuple[str, str, float]] | None = None,
    members: dict[str, tuple[str, float]] | None = None,
    collateral: list[tuple[str, str, float]] | None = None,
    config: str = CONFIG,
    liquidity: str = ",,",
) -> Path:
    """Write the book; `liquidity` is adv, half_spread and vol_half_spread of X."""
    held = HOLDINGS if holdings is None else holdings
    listed = MEMBERS if members is None else members
    tables = {
        "positions": ["account,instrument,quantity", *(f"{a},X,{q}" for a, (_, _, q) in held.items())],
        "instruments": ["instrument,kind,underlying", "X,spot,X"],
        "underlyings": ["underlying,currency,spot,adv,half_spread,vol_half_spread", f"X,USD,100,{liquidity}"],
        "accounts": ["account,member,kind", *(f"{a},{m},{kind}" for a, (m, kind, _) in held.items())],
        "members": ["member,group,contribution", *(f"{m},{g},{c}" for m, (g, c) in listed.items())],
        "fx": ["currency,rate", "EUR,1.25"],
    }
    if not listed:
        del tables["members"]
    if collateral is not None:
        tables["collateral"] = ["account,asset,quantity", *(f"{a},{asset},{q}" for a, asset, q in collateral)]
    folder.mkdir(parents=True)
    for name, lines in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (folder / "margin.toml").write_text(config)
    return folder


def file_of(*scenarios: dict, resources: dict | None = None, **keys: object) -> StressFile:
    """scenarios.toml with the crash and the rally, unless other scenarios are given, and the resources."""
    rules = RESOURCES if resources is None else resources
    tables = {"scenario": list(scenarios) or [CRASH, RALLY], **keys}
    return StressFile.model_validate(tables | ({"resources": rules} if rules else {}))


def stressed(folder: Path, file: StressFile | None = None, **options: object) -> StressTest:
    """The stress test of a book."""
    book, config, factors, _ = load(folder)
    rules = file or file_of()
    return stress_test(
        book, config, factors, rules, stress_scenarios(rules, book, config, factors), threads=1, **options
    )


def with_scenarios(folder: Path, file: StressFile) -> tuple[Book, StressScenarios]:
    """A book and the scenarios of a file over its factors."""
    book, config, factors, _ = load(folder)
    return book, stress_scenarios(file, book, config, factors)

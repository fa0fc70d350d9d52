"""Contract section 3: the scenarios of filtered historical simulation, and what a scenario does to a market."""

import itertools
import math
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from oracle.market import Market, linear, moment, tenor_years

FLOOR = 0.01
Scenario = dict[str, float]  # factor -> shock x; a factor without history has none


def split_name(factor: str) -> tuple[str, str, str | None]:
    """kind, owner, tenor: split at the first colon, and for what has a tenor at the last."""
    kind, _, rest = factor.partition(":")
    if kind in ("spot", "fx"):
        return kind, rest, None
    owner, _, tenor = rest.rpartition(":")
    return kind, owner, tenor


def is_additive(factor: str, normal: set[str]) -> bool:
    kind, owner, _ = split_name(factor)
    return kind == "rate" or (kind in ("spot", "forward") and owner in normal)


def factor_names(book: dict[str, Any], held: list[dict[str, Any]], base: str) -> list[str]:
    """The columns of history that concern what is held, in code point order."""
    underlyings = {row["underlying"] for row in held}
    currencies = {row["currency"] for row in book["underlyings"] if row["underlying"] in underlyings}
    names = []
    for name in book["history"]:
        kind, owner, _ = split_name(name) if ":" in name else ("", "", None)
        concerned = {"spot": underlyings, "iv": underlyings, "forward": underlyings, "rate": currencies,
                     "fx": currencies - {base}}.get(kind, set())  # fmt: skip
        if owner in concerned:
            names.append(name)
    return sorted(names)


@dataclass
class Filtered:
    """What the EWMA filter finds in one factor's look-back."""

    returns: list[float]
    sigma: list[float] = field(default_factory=list)  # σ₁ … σ_{N+1}


def ewma(levels: list[float], additive: bool, log: bool, decay: float) -> Filtered:
    """Returns, and the volatility that each of them met, from lookback + 1 levels."""
    returns = []
    for before, after in itertools.pairwise(levels):
        if additive:
            returns.append(after - before)
        else:
            returns.append(math.log(after / before) if log else after / before - 1)
    mean = math.fsum(returns) / len(returns)
    variance = math.fsum((r - mean) ** 2 for r in returns) / (len(returns) - 1)
    sigma = [math.sqrt(variance)]
    for r in returns:
        variance = decay * variance + (1 - decay) * r * r
        sigma.append(math.sqrt(variance))
    return Filtered(returns, sigma)


def look_back(book: dict[str, Any], config: dict[str, Any], model: dict[str, Any]) -> list[int]:
    """The rows of history used: the last lookback + 1 with a date not after as_of."""
    as_of = moment(config["as_of"])
    rows = [i for i, when in enumerate(book["history"]["date"]) if moment(when) <= as_of]
    return rows[-(model["lookback"] + 1) :]


def filtered_history(
    book: dict[str, Any], config: dict[str, Any], names: list[str]
) -> tuple[list[str], list[Scenario]]:
    """Names (the later date) and shocks of the N scenarios of [fhs]."""
    model = {"lookback": 500, "decay": 0.97, "scaling": "full", **config["fhs"]}
    rows = look_back(book, config, model)
    normal = {row["underlying"] for row in book["underlyings"] if row.get("dynamics") == "normal"}
    labels = [moment(book["history"]["date"][row]).strftime("%Y-%m-%d") for row in rows[1:]]
    scenarios: list[Scenario] = [{} for _ in labels]
    root = math.sqrt(config.get("holding_period_days", 1))
    for name in names:
        levels = [book["history"][name][row] for row in rows]
        if len(set(levels)) == 1:
            for scenario in scenarios:
                scenario[name] = 0.0
            continue
        found = ewma(levels, is_additive(name, normal), config.get("returns", "log") == "log", model["decay"])
        last = found.sigma[-1]
        for t, (r, sigma) in enumerate(zip(found.returns, found.sigma, strict=False)):
            scale = {"full": last / sigma, "mid": (last + sigma) / (2 * sigma), "none": 1.0}[model["scaling"]]
            scenarios[t][name] = root * r * scale
    return labels, scenarios


@dataclass
class Shocked:
    """One underlying's market in one scenario."""

    market: Market
    scenario: Scenario
    log: bool

    def growth(self, x: float) -> float:
        return math.exp(x) if self.log else max(1 + x, FLOOR)

    def at_tenor(self, kind: str, owner: str, t: float) -> float | None:
        """The shock of a factor with tenors, read at T; None without one."""
        nodes = []
        for name, x in self.scenario.items():
            found, whose, tenor = split_name(name)
            if found == kind and whose == owner and tenor is not None:
                nodes.append((tenor_years(tenor), x))
        return linear(nodes, t) if nodes else None

    @property
    def spot(self) -> float:
        x = self.scenario[f"spot:{self.market.name}"]
        return self.market.spot + x if self.market.normal else self.market.spot * self.growth(x)

    @property
    def fx(self) -> float:
        return self.market.fx * self.growth(self.scenario.get(f"fx:{self.market.currency}", 0.0))

    def rate_shock(self, t: float) -> float:
        return self.at_tenor("rate", self.market.currency, t) or 0.0

    def rate(self, t: float) -> float:
        return self.market.rate(t) + self.rate_shock(t)

    def forward(self, t: float) -> float:
        """Moved by the forward factors or else by the spot's; and by the rate's where F comes from the rate."""
        market = self.market
        if t <= 0 or not market.carry:
            return self.spot
        forward = market.forward(t)
        if market.forward_from_rate:
            forward *= math.exp(self.rate_shock(t) * t)
        x = self.at_tenor("forward", market.name, t)
        if x is None:
            x = self.scenario[f"spot:{market.name}"]
        return forward + x if market.normal else forward * self.growth(x)

    def vol_growth(self, t: float) -> float:
        x = self.at_tenor("iv", self.market.name, t)
        return 1.0 if x is None else self.growth(x)


def horizon_years(expiry: Any, config: dict[str, Any]) -> float:
    """T left in a scenario: T itself, or with roll that of holding_period_days calendar days later."""
    as_of = moment(config["as_of"])
    if config.get("roll", False):
        as_of += timedelta(days=config.get("holding_period_days", 1))
    return (moment(expiry) - as_of).total_seconds() / (365 * 86_400)

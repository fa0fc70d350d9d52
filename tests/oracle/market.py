"""Contract section 2: a book's market as of today, read one number at a time. Imports nothing of the product."""

import itertools
import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any

Rows = list[dict[str, Any]]
SECONDS_PER_YEAR = 365 * 86_400
TENOR_UNIT = {"d": 1 / 365, "w": 7 / 365, "m": 1 / 12, "y": 1.0}


def moment(value: Any) -> datetime:
    """A timestamp as the contract reads it: UTC where no zone is given, a date alone is midnight."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def years(expiry: Any, as_of: Any) -> float:
    """T = seconds / (365 · 86 400)."""
    return (moment(expiry) - moment(as_of)).total_seconds() / SECONDS_PER_YEAR


def tenor_years(tenor: str) -> float:
    return float(tenor[:-1]) * TENOR_UNIT[tenor[-1]]


def linear(nodes: list[tuple[float, float]], t: float) -> float:
    """Linear between nodes, flat beyond the first and the last."""
    nodes = sorted(nodes)
    if t <= nodes[0][0]:
        return nodes[0][1]
    if t >= nodes[-1][0]:
        return nodes[-1][1]
    for (t0, v0), (t1, v1) in itertools.pairwise(nodes):
        if t0 <= t <= t1:
            return v0 + (v1 - v0) * (t - t0) / (t1 - t0)
    raise AssertionError(t)


@dataclass
class Market:
    """One underlying today."""

    name: str
    currency: str
    spot: float
    fx: float
    normal: bool
    carry: bool
    dividend_yield: float
    rates: list[tuple[float, float]]
    forwards: list[tuple[float, float]]  # (T, c) or, normal, (T, F)
    slices: list[tuple[float, list[tuple[float, float]]]] = field(default_factory=list)  # (T, [(k, iv)])
    adv: float | None = None
    vega_adv: float | None = None
    half_spread: float = 0.0
    vol_half_spread: float = 0.0

    @property
    def forward_from_rate(self) -> bool:
        return self.carry and not self.forwards

    def rate(self, t: float) -> float:
        return linear(self.rates, t) if self.rates else 0.0

    def forward(self, t: float) -> float:
        if t <= 0 or not self.carry:
            return self.spot
        if self.forwards:
            value = linear(self.forwards, t)
            return value if self.normal else self.spot * math.exp(value * t)
        return self.spot * math.exp((self.rate(t) - self.dividend_yield) * t)

    def moneyness(self, strike: float, forward: float) -> float:
        return strike - forward if self.normal else math.log(strike / forward)

    def sigma(self, k: float, t: float) -> float:
        """Linear in k within a slice; total variance linear in T between slices; flat beyond."""
        first, last = self.slices[0], self.slices[-1]
        if t <= first[0]:
            return linear(first[1], k)
        if t >= last[0]:
            return linear(last[1], k)
        variances = [(t_slice, linear(nodes, k) ** 2 * t_slice) for t_slice, nodes in self.slices]
        return math.sqrt(linear(variances, t) / t)


def markets(book: dict[str, Any], config: dict[str, Any]) -> dict[str, Market]:
    """The market of every underlying of the book."""
    as_of = config["as_of"]
    fx = {row["currency"]: row["rate"] for row in book.get("fx", [])}
    fx[config["base_currency"]] = 1.0
    out = {}
    for row in book["underlyings"]:
        name, currency = row["underlying"], row["currency"]
        get = _getter(row)
        market = Market(
            name=name,
            currency=currency,
            spot=row["spot"],
            fx=fx[currency],
            normal=get("dynamics", "lognormal") == "normal",
            carry=get("carry", "rate") == "rate",
            dividend_yield=get("dividend_yield", 0.0),
            rates=_alive(book, "rates", "currency", currency, "rate", as_of),
            forwards=[],
            adv=get("adv", None),
            vega_adv=get("vega_adv", None),
            half_spread=get("half_spread", 0.0),
            vol_half_spread=get("vol_half_spread", 0.0),
        )
        for t, forward in _alive(book, "forwards", "underlying", name, "forward", as_of):
            market.forwards.append((t, forward if market.normal else math.log(forward / market.spot) / t))
        slices: dict[float, list[tuple[float, float]]] = {}
        for vol in book.get("vols", []):
            t = years(vol["expiry"], as_of)
            if vol["underlying"] == name and t > 0:
                k = market.moneyness(vol["strike"], market.forward(t))
                slices.setdefault(t, []).append((k, vol["iv"]))
        market.slices = [(t, sorted(nodes)) for t, nodes in sorted(slices.items())]
        out[name] = market
    return out


def _getter(row: dict[str, Any]) -> Any:
    return lambda key, default: default if row.get(key) is None else row[key]


def _alive(book: dict[str, Any], table: str, key: str, owner: str, value: str, as_of: Any) -> list[tuple[float, float]]:
    """The (T, value) nodes of one owner with T > 0."""
    rows = [row for row in book.get(table, []) if row[key] == owner]
    nodes = [(years(row["expiry"], as_of), row[value]) for row in rows]
    return sorted(node for node in nodes if node[0] > 0)

"""[scan]: a grid of price and volatility moves, and what each scenario weighs."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from gpu_var.tables.config_base import ConfigTable, contradiction, expected
from gpu_var.tables.config_contingency import Contingency, Damper, Discount
from gpu_var.tables.config_spreads import EVERY, Delivery, InterCommodity, InterMonth

THIRD = 1.0 / 3.0

SPAN_GRID = (
    *((move, vol, 1.0) for move in (0.0, THIRD, -THIRD, 2 * THIRD, -2 * THIRD, 1.0, -1.0) for vol in (1.0, -1.0)),
    (3.0, 0.0, 0.33),
    (-3.0, 0.0, 0.33),
)
"""The sixteen scenarios of a scan array: [price multiple, volatility multiple, share of profit and loss kept]."""

SPAN_DELTA = (
    (0.0, 0.270),
    (THIRD, 0.217),
    (-THIRD, 0.217),
    (2 * THIRD, 0.111),
    (-2 * THIRD, 0.111),
    (1.0, 0.037),
    (-1.0, 0.037),
)
"""The seven price points of the composite delta: [price multiple, weight]."""

Multiple = Annotated[float, Field(ge=-100, le=100)]
Weight = Annotated[float, Field(gt=0, le=1)]
Move = Annotated[tuple[Multiple, Multiple, Weight], Field(strict=False)]  # TOML has lists, which are tuples here
OwnMove = Annotated[tuple[Annotated[float, Field(ge=-1e12, le=1e12)], Multiple, Weight], Field(strict=False)]
DeltaPoint = Annotated[tuple[Multiple, Weight], Field(strict=False)]

_TRIPLE = "volatility multiple from -100 to 100, weight with 0 < weight <= 1], 1,000 at most"
_price_range = expected("a number with 0 < price_range <= 1e12", gt=0, le=1e12)
_vol_range = expected("a number from 0 to 1e6", ge=0, le=1e6)
_vol_range_down = expected("a number from 0 to 1e6; vol_range unless given", ge=0, le=1e6)
_minimum = expected("a number from 0 to 1e15: money a contract, or a share of the price", ge=0, le=1e15)
_TIER_DAYS = "a list of days to expiry, ascending, each with 0 < days <= 1e6, 99 at most"
_tier_days = expected(_TIER_DAYS, strict=False, max_length=99)
Days = Annotated[float, Field(gt=0, le=1e6)]


class ScanUnderlying(ConfigTable):
    """[scan.underlyings.X]: what differs for one underlying."""

    price_range: Annotated[float | None, _price_range] = None
    vol_range: Annotated[float | None, _vol_range] = None
    vol_range_down: Annotated[float | None, _vol_range_down] = None
    short_option_minimum: Annotated[float | None, _minimum] = None
    tier_days: Annotated[tuple[Days, ...] | None, _tier_days] = None

    @model_validator(mode="after")
    def _agrees(self) -> "ScanUnderlying":
        _ascending(self.tier_days or ())
        return self


class Scan(ConfigTable):
    """[scan]: the worst of a grid of scenarios, underlying by underlying or in all of them at once."""

    price_range: Annotated[float, _price_range]
    price_range_in: Annotated[Literal["relative", "absolute"], expected("'relative' or 'absolute'")] = "relative"
    vol_range: Annotated[float, _vol_range]
    vol_range_down: Annotated[float | None, _vol_range_down] = None
    vol_range_in: Annotated[Literal["relative", "absolute"], expected("'relative' or 'absolute'")] = "relative"
    vol_law: Annotated[Literal["flat", "power"], expected("'flat' or 'power'")] = "flat"
    vol_floor_days: Annotated[float, expected("a number with 0 < days <= 36500", gt=0, le=36_500)] = 1.0
    vol_pivot_days: Annotated[float, expected("a number with 0 < days <= 36500", gt=0, le=36_500)] = 30.0
    vol_power_short: Annotated[float, expected("a number from 0 to 2", ge=0, le=2)] = 0.30
    vol_power_long: Annotated[float, expected("a number from 0 to 2", ge=0, le=2)] = 0.13
    look_ahead_days: Annotated[float, expected("a number of calendar days from 0 to 365", ge=0, le=365)] = 0.0
    numeraire: Annotated[Literal["quote", "underlying"], expected("'quote' or 'underlying'")] = "quote"
    across: Annotated[Literal["sum", "joint"], expected("'sum' or 'joint'")] = "sum"
    grid: Annotated[
        tuple[Move, ...],
        expected(f"a list of [price multiple from -100 to 100, {_TRIPLE}", strict=False, max_length=1000),
    ] = SPAN_GRID
    extended: Annotated[
        tuple[OwnMove, ...],
        expected(
            f"a list of [price move from -100 to 100 (absolute: -1e12 to 1e12), {_TRIPLE}",
            strict=False,
            max_length=1000,
        ),
    ] = ()
    delta_points: Annotated[
        tuple[DeltaPoint, ...],
        expected(
            "a list of [price multiple from -100 to 100, weight with 0 < weight <= 1], the weights adding up to 1",
            strict=False,
            max_length=1000,
        ),
    ] = SPAN_DELTA
    short_option_minimum: Annotated[float, _minimum] = 0.0
    short_option_minimum_in: Annotated[Literal["contract", "price"], expected("'contract' or 'price'")] = "contract"
    short_option_minimum_basis: Annotated[Literal["sum", "max"], expected("'sum' or 'max'")] = "sum"
    tier_days: Annotated[tuple[Days, ...], _tier_days] = ()
    inter_month: Annotated[tuple[InterMonth, ...], expected("a list of tables", strict=False)] = ()
    delivery: Annotated[tuple[Delivery, ...], expected("a list of tables", strict=False)] = ()
    inter_commodity: Annotated[tuple[InterCommodity, ...], expected("a list of tables", strict=False)] = ()
    discount: Annotated[Discount | None, expected("a table")] = None
    damper: Annotated[Damper | None, expected("a table")] = None
    contingency: Annotated[Contingency, expected("a table")] = Contingency()
    underlyings: Annotated[
        dict[str, ScanUnderlying], Field(default_factory=dict, json_schema_extra={"expected": "a table of tables"})
    ]

    @model_validator(mode="after")
    def _agrees(self) -> "Scan":
        self._ranges()
        _ascending(self.tier_days)
        if not self.grid:
            raise contradiction("grid", "has no scenario; expected 1 to 1,000 of them")
        total = sum(weight for _, weight in self.delta_points)
        if abs(total - 1.0) > 1e-6:
            raise contradiction("delta_points", f"have weights that add up to {total:g}; expected 1")
        if self.vol_law == "flat":
            given = [name for name in _LAW if getattr(self, name) != type(self).model_fields[name].default]
            if given:
                raise contradiction(given[0], "goes with vol_law 'power' only; expected none with 'flat'")
        if self.across == "joint" and self.inter_commodity:
            text = "gives credit for what across 'joint' nets already; expected none with 'joint'"
            raise contradiction("inter_commodity", text)
        for entry in self.inter_month:
            self._tiers(entry)
        return self

    def _ranges(self) -> None:
        ranges: dict[str, float | None] = {"price_range": self.price_range}
        ranges |= {f"underlyings.{name}.price_range": one.price_range for name, one in self.underlyings.items()}
        for key, value in ranges.items():
            if self.price_range_in == "relative" and value is not None and value > 10.0:
                text = f"{value:g} is out of range; expected at most 10 with price_range_in 'relative'"
                raise contradiction(key, text)
        farthest = max((abs(move) for move, _, _ in self.extended), default=0.0)
        if self.price_range_in == "relative" and farthest > 100.0:
            text = f"moves a price by {farthest:g}; expected at most 100 with price_range_in 'relative'"
            raise contradiction("extended", text)

    def _tiers(self, entry: InterMonth) -> None:
        """A spread's tiers exist, for every underlying that has it."""
        beyond = max(tier for tier, _ in entry.legs)
        own = {other.underlying for other in self.inter_month}
        having = (EVERY, *(self.underlyings.keys() - own)) if entry.underlying == EVERY else (entry.underlying,)
        for name in having:
            last = len(self.tiers(name)) + 1
            if beyond > last:
                of = "" if name == EVERY else f" of '{name}'"
                text = f"name tier {beyond}, and tier_days{of} make {last}; expected tiers from 0 to {last}"
                raise contradiction("inter_month.legs", text)

    def tiers(self, underlying: str) -> tuple[float, ...]:
        """The upper ends, in days, of the tiers of an underlying; one more tier lies beyond the last."""
        own = self.underlyings.get(underlying)
        return self.tier_days if own is None or own.tier_days is None else own.tier_days

    def parameter(self, name: str, underlying: str) -> float:
        """A range or the short option minimum of an underlying: its own, or else that of [scan].

        A range downwards that is not given is the one upwards, so that an underlying's own `vol_range` alone is both.
        """
        own = self.underlyings.get(underlying, ScanUnderlying())
        values = [getattr(own, name), getattr(self, name)]
        if name == "vol_range_down":
            values = [values[0], own.vol_range, values[1], self.vol_range]
        return float(next(value for value in values if value is not None))

    def names(self) -> dict[str, str]:
        """Underlying that is named -> key that names it, for a check against a book."""
        found = {name: f"scan.underlyings.{name}" for name in self.underlyings}
        found |= {e.underlying: "scan.inter_month.underlying" for e in self.inter_month if e.underlying != EVERY}
        found |= {e.underlying: "scan.delivery.underlying" for e in self.delivery if e.underlying != EVERY}
        return found | {name: "scan.inter_commodity.legs" for e in self.inter_commodity for name, _ in e.legs}


_LAW = ("vol_floor_days", "vol_pivot_days", "vol_power_short", "vol_power_long")


def _ascending(days: tuple[float, ...]) -> None:
    if any(late <= early for early, late in pairwise(days)):
        raise contradiction("tier_days", f"do not ascend; expected {_TIER_DAYS}")

"""[close_out] and [reverse] of scenarios.toml: winding a default down, and what would break the resources."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from gpu_var.tables.config_base import ConfigTable, contradiction, expected
from gpu_var.tables.config_models import factor_patterns

MOST_DAYS = 60

Layer = Literal["margin", "contribution", "own", "fund", "own_after", "assessments"]
_LAYERS = "'margin', 'contribution', 'own', 'fund', 'own_after', 'assessments', or a list of them"
_DAYS = f"a whole number of days, 1 to {MOST_DAYS}"
_Days = Annotated[int, expected(_DAYS, ge=1, le=MOST_DAYS)]


class CloseOut(ConfigTable):
    """[close_out]: how defaulters' books are wound down, sold over days, or hedged and auctioned."""

    members: Annotated[tuple[str, ...], expected("a list of members or groups", strict=False)] = ()
    scenario: Annotated[str | None, expected("the name of a scenario, or 'none'")] = None
    clients: Annotated[Literal["closed", "ported"], expected("'closed' or 'ported'")] = "closed"
    participation: Annotated[float, expected("a number with 0 < participation <= 1", gt=0, le=1)] = 0.25
    impact: Annotated[Literal["square_root", "almgren"], expected("'square_root' or 'almgren'")] = "square_root"
    impact_scale: Annotated[float, expected("a number from 0 to 100", ge=0, le=100)] = 1.0
    turnover_days: Annotated[
        float | None, expected("a number of days from 1 to 100,000, with impact = 'almgren'", ge=1, le=100_000)
    ] = None
    pace: Annotated[Literal["participation", "least_cost"], expected("'participation' or 'least_cost'")] = (
        "participation"
    )
    risk_weight: Annotated[float, expected("a number from 0 to 100", ge=0, le=100)] = 1.0
    lag_days: Annotated[int, expected(f"a whole number of days, 0 to {MOST_DAYS}", ge=0, le=MOST_DAYS)] = 1
    horizon_days: _Days = 20
    hedge_days: _Days = 1
    auction_days: _Days = 5
    auction_discount: Annotated[float, expected("a number from 0 to 10", ge=0, le=10)] = 0.25

    @model_validator(mode="after")
    def _agrees(self) -> "CloseOut":
        if self.turnover_days is not None and self.impact != "almgren":
            text = f"{self.turnover_days:g} goes with impact = 'almgren' only; expected none with '{self.impact}'"
            raise contradiction("turnover_days", text)
        if self.auction_days < self.hedge_days:
            text = f"{self.auction_days} is before the hedge is done; expected hedge_days = {self.hedge_days} or more"
            raise contradiction("auction_days", text)
        return self


def _listed(value: Any) -> Any:
    """One of them stands for a list of it."""
    return (value,) if isinstance(value, str) else value


_PATTERNS = "a pattern of factors, such as 'spot:*', or a list of patterns"
_EVALUATIONS = "a whole number of shocks from 5,000 to 10,000,000"
_MAP = """two patterns of factors, such as ["spot:*", "iv:*"], or [] for no map"""
_RANGE = "[[from, to], [from, to]]: the shocks at the ends of the map's two axes, ascending, relative ones over -1"
_Pair = Annotated[tuple[float, float], Field(strict=False)]


class Reverse(ConfigTable):
    """[reverse]: the least implausible shock that exhausts a layer of the resources, and a map of where they break."""

    layer: Annotated[tuple[Layer, ...], BeforeValidator(_listed), expected(_LAYERS, strict=False, min_length=1)] = (
        "fund",
    )
    factors: Annotated[tuple[str, ...], BeforeValidator(_listed), expected(_PATTERNS, strict=False, min_length=1)] = (
        "*",
    )
    limit: Annotated[float, expected("a number of standard deviations from 1 to 40", ge=1, le=40)] = 15.0
    evaluations: Annotated[
        int, expected("a whole number of shocks from 5,000 to 10,000,000", ge=5_000, le=10_000_000)
    ] = 50_000
    map: Annotated[tuple[str, ...], expected(_MAP, strict=False)] = ()
    map_range: Annotated[tuple[_Pair, _Pair] | None, expected(_RANGE, strict=False)] = None
    points: Annotated[int, expected("a whole number of points an axis from 3 to 201", ge=3, le=201)] = 25

    @field_validator("factors", "map")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        factor_patterns(dict.fromkeys(value))
        return value

    @model_validator(mode="after")
    def _agrees(self) -> "Reverse":
        if len(self.map) not in (0, 2):
            raise contradiction("map", f"has {len(self.map)} pattern{'s' * (len(self.map) != 1)}; expected {_MAP}")
        if len(set(self.map)) < len(self.map):
            raise contradiction("map", f"has {self.map[0]!r} twice; expected two patterns that differ")
        if self.map_range is not None:
            if not self.map:
                raise contradiction("map_range", "goes with map only; expected none without")
            for first, last in self.map_range:
                if not first < last:
                    raise contradiction("map_range", f"[{first:g}, {last:g}] does not ascend; expected {_RANGE}")
        return self

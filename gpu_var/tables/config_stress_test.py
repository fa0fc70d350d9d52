"""scenarios.toml: the scenarios of a stress test, and the resources that stand against them. Exhaustive."""

import math
import re
from collections import Counter
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, PlainSerializer, PlainValidator, field_validator, model_validator

from gpu_var.tables.config_base import ConfigTable, contradiction, expected
from gpu_var.tables.config_close_out import CloseOut, Reverse
from gpu_var.tables.config_models import factor_patterns

NONE = "none"
"""What a proxy is called where a factor is to have none."""

_TEXT = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*(%|bp)\s*", re.ASCII)


class Shock(NamedTuple):
    """A move as it is written."""

    amount: float  # of text with % or bp, divided by its unit: +50bp is 0.005
    unit: str  # "" | "%" | "bp"


def _shock(value: object) -> Shock:
    """A finite number, or text such as "-30%" and "+50bp"."""
    if isinstance(value, Shock):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return Shock(float(value), "")
    found = _TEXT.fullmatch(value) if isinstance(value, str) else None
    if found is None or not math.isfinite(float(found[1])):
        raise ValueError("a number, or text with % or bp")
    return Shock(float(found[1]) / (100.0 if found[2] == "%" else 10_000.0), found[2])


def _plain(shock: Shock) -> float | str:
    """As it may be written."""
    scale = {"": None, "%": 100.0, "bp": 10_000.0}[shock.unit]
    return shock.amount if scale is None else f"{shock.amount * scale:.15g}{shock.unit}"


_Shock = Annotated[
    Shock,
    PlainValidator(_shock),
    PlainSerializer(_plain),
]
_SHOCKS = """a table of shocks, such as { "spot:*" = -0.3, "iv:*" = "+60%", "rate:*" = "+50bp" }"""
_Shocks = Annotated[dict[str, _Shock], expected(_SHOCKS)]
_Number = Annotated[float, expected("a finite number")]
Fill = Literal["none", "correlation", "beta"]


def _name(value: str) -> str:
    if not value or not value.isprintable() or len(value.encode()) > 1_000:
        raise ValueError("a name of printable characters")
    return value


_Name = Annotated[str, expected("a name of printable characters, such as 'crash'")]


class ScenarioStep(ConfigTable):
    """[[scenario.step]]: the moves of one step of a sequence, on top of those of the steps before it."""

    shocks: _Shocks

    _known = field_validator("shocks")(factor_patterns)


class WrittenScenario(ConfigTable):
    """[[scenario]]: one joint move of the factors, or a sequence of them."""

    name: _Name
    shocks: Annotated[dict[str, _Shock] | None, expected(_SHOCKS)] = None
    step: Annotated[
        tuple[ScenarioStep, ...], expected("one or more tables [[scenario.step]] with shocks", strict=False)
    ] = ()
    fill: Annotated[Fill | None, expected("'none', 'correlation' or 'beta'")] = None
    spreads: Annotated[float, expected("a factor on today's spreads, 1 or more", ge=1)] = 1.0
    adv: Annotated[float, expected("a share of today's daily volumes, 0 < adv <= 1", gt=0, le=1)] = 1.0
    mirror: Annotated[bool | None, expected("true or false")] = None

    _checked = field_validator("name")(_name)
    _known = field_validator("shocks")(factor_patterns)

    @model_validator(mode="after")
    def _agrees(self) -> "WrittenScenario":
        if self.shocks is None and not self.step:
            raise contradiction("shocks", f"missing; expected {_SHOCKS}, or tables [[scenario.step]]")
        if self.shocks is not None and self.step:
            text = "does not go with [[scenario.step]]; expected the first moves as the first step"
            raise contradiction("shocks", text)
        return self

    @property
    def steps(self) -> tuple[dict[str, Shock], ...]:
        """The moves of each step; a scenario without steps has one."""
        return (self.shocks,) if self.shocks is not None else tuple(step.shocks for step in self.step)


class Proxy(ConfigTable):
    """A factor of the library that stands for one of the book."""

    factor: Annotated[str, expected(f"a factor of the library, such as 'SPX', or '{NONE}'")]
    beta: Annotated[float, expected("a finite number other than 0")] = 1.0

    @field_validator("beta")
    @classmethod
    def _moves(cls, value: float) -> float:
        if not value:
            raise ValueError("not 0")
        return value


def _proxy(value: Any) -> Any:
    return {"factor": value} if isinstance(value, str) else value


class Resources(ConfigTable):
    """[resources]: what stands behind the members' margin, in the base currency."""

    own: Annotated[float, expected("an amount, 0 or more", ge=0)] = 0.0
    own_after: Annotated[float, expected("an amount, 0 or more", ge=0)] = 0.0
    assessment: Annotated[float, expected("a multiple of the contribution, 0 or more", ge=0)] = 1.0
    cover: Annotated[int, expected("a whole number of defaulting groups, 1 to 10", ge=1, le=10)] = 2
    prudence: Annotated[float, expected("a share added to the fund, 0 or more", ge=0)] = 0.10
    least_contribution: Annotated[float, expected("an amount, 0 or more", ge=0)] = 0.0
    allocation: Annotated[Literal["average", "worst"], expected("'average' or 'worst'")] = "average"
    against: Annotated[Literal["margin", "collateral", "larger"], expected("'margin', 'collateral' or 'larger'")] = (
        "margin"
    )
    clients: Annotated[Literal["individual", "omnibus"], expected("'individual' or 'omnibus'")] = "individual"
    house_covers_clients: Annotated[bool, expected("true or false")] = True
    defaulters: Annotated[tuple[str, ...], expected("a list of members and groups", strict=False)] = ()


class StressFile(ConfigTable):
    """The whole of scenarios.toml."""

    library: Annotated[
        tuple[str, ...] | None, expected("a list of patterns, such as ['history:*', 'grid:*']", strict=False)
    ] = None
    mirrors: Annotated[bool, expected("true or false")] = False
    fill: Annotated[Fill, expected("'none', 'correlation' or 'beta'")] = "none"
    betas: Annotated[
        dict[str, dict[str, _Number]],
        expected("""a table such as { "spot:ETH" = { "spot:BTC" = 1.2 } }"""),
    ] = Field(default_factory=dict)
    proxies: Annotated[
        dict[str, Annotated[Proxy, Field(strict=False)]],
        expected("""a table such as { "spot:GOOG" = "SPX", "spot:NVDA" = { factor = "SPX", beta = 1.8 } }"""),
    ] = Field(default_factory=dict)
    scenario: Annotated[
        tuple[WrittenScenario, ...],
        expected("one or more tables [[scenario]] with name and shocks", strict=False),
    ] = ()
    resources: Annotated[Resources | None, expected("a table")] = None
    close_out: Annotated[CloseOut | None, expected("a table")] = None
    reverse: Annotated[Reverse | None, expected("a table")] = None

    _known = field_validator("betas", "proxies")(factor_patterns)

    @field_validator("proxies", mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        """A factor's name stands for a table with it."""
        return {key: _proxy(one) for key, one in value.items()} if isinstance(value, dict) else value

    @field_validator("betas")
    @classmethod
    def _drivers(cls, value: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for name, drivers in value.items():
            if not drivers:
                raise contradiction(name, """no factor; expected one or more, such as { "spot:BTC" = 1.2 }""")
            if name in drivers:
                raise contradiction(name, "has a beta to itself; expected other factors")
        return value

    @model_validator(mode="after")
    def _agrees(self) -> "StressFile":
        if self.library == () and not self.scenario:
            raise contradiction("library", "no scenario; expected patterns of the library, or tables [[scenario]]")
        for name, count in Counter(scenario.name for scenario in self.scenario).items():
            if count > 1:
                raise contradiction("scenario.name", f"{name!r} is given more than once; expected names that differ")
        fills = {self.fill, *(scenario.fill for scenario in self.scenario)}
        if "beta" in fills and not self.betas:
            raise contradiction("fill", "'beta' needs the table [betas]; expected it, or 'none' or 'correlation'")
        if self.betas and not fills & {"beta", "correlation"}:
            text = "goes with fill = 'beta' or 'correlation'; expected one of them, or no [betas]"
            raise contradiction("betas", text)
        return self

    @property
    def chosen(self) -> tuple[str, ...]:
        """Patterns of the library's scenarios: all of it where neither they nor scenarios are given."""
        if self.library is not None:
            return self.library
        return () if self.scenario else ("*",)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as in scenarios.toml and with every default."""
        return self.model_dump(mode="json", exclude_none=True)

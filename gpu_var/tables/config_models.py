"""[fhs], [monte_carlo] and [stress]: the models that make scenarios."""

import datetime
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, field_validator, model_validator

from gpu_var.tables.config_base import ConfigTable, contradiction, expected
from gpu_var.tables.findings import escaped, nearest
from gpu_var.tables.schema import FACTORS

_KINDS = ", ".join(f"'{kind}:'" for kind in FACTORS)

PERIOD = "period:"
"""How the names of the scenarios of `stress.period` begin."""


_Table = TypeVar("_Table", bound=Mapping[str, Any] | None)


def factor_patterns(value: _Table) -> _Table:
    """A table whose keys are patterns of factors' names: * and ? and [...] as in a shell."""
    for pattern in value if value is not None else ():
        kind, colon, _ = pattern.partition(":")
        if pattern != "*" and not (colon and kind in FACTORS):
            near = nearest(kind, FACTORS) if colon else None
            hint = f"; the nearest kind of factor is '{near}:'" if near else ""
            text = f"no factor's name{hint}; expected a name or a pattern such as 'spot:*', beginning with {_KINDS}"
            raise contradiction(escaped(pattern), text)
    return value


Decay = Annotated[float, expected("a number with 0 < decay < 1", gt=0, lt=1)]
Lookback = Annotated[int, expected("a whole number of returns, 2 or more", ge=2)]
Days = Annotated[int, expected("a whole number of days, 1 or more", ge=1)]
Volatility = Annotated[Literal["ewma", "absolute"], expected("'ewma' or 'absolute'")]
Floors = Annotated[
    dict[str, Annotated[float, expected("a volatility a row of history, 0 or more", ge=0)]],
    expected("""a table of least volatilities, 0 or more, such as { "spot:*" = 0.01 }"""),
]


class Fhs(ConfigTable):
    """[fhs]: filtered historical simulation."""

    lookback: Lookback = 500
    decay: Decay = 0.97
    scaling: Annotated[Literal["full", "mid", "none"], expected("'full', 'mid' or 'none'")] = "full"
    max_gap_days: Days = 15
    volatility: Volatility = "ewma"
    volatility_floor: Floors = Field(default_factory=dict)
    correlation_scaling: Annotated[bool, expected("true or false")] = False
    correlation_shrinkage: Annotated[float, expected("a number from 0 to 1", ge=0, le=1)] = 0.0
    horizon: Annotated[Literal["scale", "overlapping"], expected("'scale' or 'overlapping'")] = "scale"

    _known = field_validator("volatility_floor")(factor_patterns)

    @model_validator(mode="after")
    def _agrees(self) -> "Fhs":
        if self.scaling == "none":
            for key, given in (
                ("volatility", self.volatility != "ewma"),
                ("volatility_floor", bool(self.volatility_floor)),
                ("correlation_scaling", self.correlation_scaling),
            ):
                if given:
                    raise contradiction(key, "goes with scaling 'full' or 'mid' only; expected none with 'none'")
        if self.correlation_shrinkage and not self.correlation_scaling:
            text = f"{self.correlation_shrinkage:g} goes with correlation_scaling = true only; expected none without"
            raise contradiction("correlation_shrinkage", text)
        return self


class MonteCarlo(ConfigTable):
    """[monte_carlo]; lookback, decay, max_gap_days, volatility and volatility_floor are those of [fhs] unless given."""

    lookback: Lookback = 500
    decay: Decay = 0.97
    max_gap_days: Days = 15
    volatility: Volatility = "ewma"
    volatility_floor: Floors = Field(default_factory=dict)
    paths: Annotated[int, expected("a whole number of paths, 1 or more", ge=1)] = 10_000
    seed: Annotated[int, expected("a whole number from 0 to 2**63 - 1", ge=0, le=2**63 - 1)] = 0
    copula: Annotated[Literal["gaussian", "student_t"], expected("'gaussian' or 'student_t'")] = "gaussian"
    dof: Annotated[float | None, expected("a number > 2, with copula 'student_t'", gt=2)] = None
    dependence_addon: Annotated[float | None, expected("a number from 0 to 1", ge=0, le=1)] = None

    _known = field_validator("volatility_floor")(factor_patterns)

    @model_validator(mode="after")
    def _agrees(self) -> "MonteCarlo":
        if self.copula == "gaussian" and self.dof is not None:
            raise contradiction("dof", f"{self.dof:g} goes with copula 'student_t' only; expected none with 'gaussian'")
        if self.copula == "student_t" and self.dof is None:
            raise contradiction("dof", "missing with copula 'student_t'; expected a number > 2")
        return self


def _name(value: str) -> str:
    printable = value.isprintable() and len(value.encode()) <= 1_000
    if not value or not printable or value.startswith(PERIOD):
        raise ValueError(f"a name that does not begin with {PERIOD!r}")
    return value


class StressScenario(ConfigTable):
    """[[stress.scenario]]: one joint move of the factors."""

    name: Annotated[str, expected(f"a name, such as 'crash', that does not begin with '{PERIOD}'")]
    shocks: Annotated[
        dict[str, Annotated[float, expected("a finite number: a relative change, or a difference for rates")]],
        expected("""a table of shocks, such as { "spot:*" = -0.3, "iv:*" = 0.5, "rate:*" = 0.01 }"""),
    ]

    _checked = field_validator("name")(_name)
    _known = field_validator("shocks")(factor_patterns)


def _date(value: object) -> datetime.date:
    """A TOML date, or ISO text of one."""
    if isinstance(value, str):
        value = datetime.date.fromisoformat(value)
    if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):
        raise ValueError("a date")
    return value


_PERIODS = 'a list of periods [from, to], two dates each with from <= to, such as [["2020-02-20", "2020-04-30"]]'
_Date = Annotated[datetime.date, BeforeValidator(_date)]
_Period = Annotated[tuple[_Date, _Date], Field(strict=False)]


class Stress(ConfigTable):
    """[stress]: scenarios written down, and historical ones as they were."""

    scenario: Annotated[
        tuple[StressScenario, ...],
        expected("one or more tables [[stress.scenario]] with name and shocks", strict=False),
    ] = ()
    period: Annotated[tuple[_Period, ...], expected(_PERIODS, strict=False)] = ()
    max_gap_days: Days = 15

    @model_validator(mode="after")
    def _agrees(self) -> "Stress":
        if not self.scenario and not self.period:
            raise contradiction("", "no scenario; expected one or more tables [[stress.scenario]], or period")
        names = [scenario.name for scenario in self.scenario]
        for name in names:
            if names.count(name) > 1:
                raise contradiction("scenario.name", f"{name!r} is given more than once; expected names that differ")
        ordered = sorted(self.period)
        for first, last in ordered:
            if first > last:
                raise contradiction("period", f"{first} is after {last}; expected {_PERIODS}")
        for (_, last), (first, _) in pairwise(ordered):
            if first <= last:
                raise contradiction("period", f"{first} is in two periods; expected periods that do not overlap")
        return self

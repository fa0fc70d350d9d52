"""margin.toml: what is to be computed. Exhaustive: an unknown key is a finding."""

import datetime
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import arrow
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gpu_var.tables.findings import Findings, InputError
from gpu_var.tables.times import FORMS

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_AS_OF = "a date or a date-time: YYYY-MM-DD, or that and T or a space and HH:MM[:SS[.ffffff]] and Z or ±HH:MM"


def _time(value: object) -> datetime.datetime:
    """A TOML date-time (without a zone: UTC) or date, or ISO text, in UTC."""
    if isinstance(value, str):
        if not re.fullmatch(FORMS, value, re.ASCII):
            raise ValueError(_AS_OF)
        value = arrow.get(value).datetime
    elif isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime.datetime):
        raise ValueError(_AS_OF)
    try:
        return arrow.get(value).to("utc").datetime
    except (OverflowError, ValueError):
        raise ValueError(f"{_AS_OF}, in the years 1 to 9999") from None


def _identifier(value: str) -> str:
    if not value or len(value.encode()) > 1_000 or re.search(r"[\x00-\x1f\x7f-\x9f]", value):
        raise ValueError("a currency, such as 'USD'")
    return value


def _unshocked(value: str) -> str:
    if not re.fullmatch(r"(spot|iv|fx):[^\x00-\x1f]+", value):
        raise ValueError("factors 'iv:UNDERLYING', 'spot:UNDERLYING' or 'fx:CURRENCY'")
    return value


def _contradiction(key: str, text: str) -> PydanticCustomError:
    """Keys that do not go together: the one to change, and what is wrong with it."""
    return PydanticCustomError("contradiction", "{key} {text}", {"key": key, "text": text})


def _expected(text: str, **bounds: Any) -> Any:
    """A field's bounds, and how a message words them."""
    return Field(json_schema_extra={"expected": text}, **bounds)


Decay = Annotated[float, _expected("a number with 0 < decay < 1", gt=0, lt=1)]
Lookback = Annotated[int, _expected("a whole number of returns, 2 or more", ge=2)]
Days = Annotated[int, _expected("a whole number of days, 1 or more", ge=1)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Fhs(_Table):
    """[fhs]: filtered historical simulation."""

    lookback: Lookback = 500
    decay: Decay = 0.97
    scaling: Annotated[Literal["full", "mid", "none"], _expected("'full', 'mid' or 'none'")] = "full"
    max_gap_days: Days = 15


class MonteCarlo(_Table):
    """[monte_carlo]; lookback, decay and max_gap_days are those of [fhs] unless given."""

    lookback: Lookback = 500
    decay: Decay = 0.97
    max_gap_days: Days = 15
    paths: Annotated[int, _expected("a whole number of paths, 1 or more", ge=1)] = 10_000
    seed: Annotated[int, _expected("a whole number from 0 to 2**63 - 1", ge=0, le=2**63 - 1)] = 0
    copula: Annotated[Literal["gaussian", "student_t"], _expected("'gaussian' or 'student_t'")] = "gaussian"
    dof: Annotated[float | None, _expected("a number > 2, with copula 'student_t'", gt=2)] = None

    @model_validator(mode="after")
    def _agrees(self) -> "MonteCarlo":
        if self.copula == "gaussian" and self.dof is not None:
            raise _contradiction(
                "dof", f"{self.dof:g} goes with copula 'student_t' only; expected none with 'gaussian'"
            )
        if self.copula == "student_t" and self.dof is None:
            raise _contradiction("dof", "missing with copula 'student_t'; expected a number > 2")
        return self


class Core(_Table):
    """[core]: how the models' measures become one."""

    combine: Annotated[Literal["max", "blend"], _expected("'max' or 'blend'")] = "max"
    stress_weight: Annotated[float | None, _expected("a number from 0 to 1", ge=0, le=1)] = None

    @model_validator(mode="after")
    def _agrees(self) -> "Core":
        if self.combine == "max" and self.stress_weight is not None:
            text = f"{self.stress_weight:g} goes with combine 'blend' only; expected none with 'max'"
            raise _contradiction("stress_weight", text)
        if self.combine == "blend" and self.stress_weight is None:
            raise _contradiction("stress_weight", "missing with combine 'blend'; expected a number from 0 to 1")
        if self.combine == "blend":
            text = "'blend' needs the model [stress], which this version does not have; expected 'max'"
            raise _contradiction("combine", text)
        return self


class Concentration(_Table):
    """[concentration]: the share of the daily volume that an unwinding position may take."""

    participation: Annotated[float, _expected("a number with 0 < participation <= 1", gt=0, le=1)] = 0.25


class Liquidity(_Table):
    """[liquidity]: no keys; the spreads stand in `underlyings`."""


class Config(_Table):
    """margin.toml, checked. `Config.load` reads the file; keyword arguments do as well."""

    as_of: Annotated[datetime.datetime, BeforeValidator(_time), _expected(_AS_OF)]
    base_currency: Annotated[str, _expected("a currency, such as 'USD'")]
    holding_period_days: Annotated[int, _expected("a whole number from 1 to 365", ge=1, le=365)] = 1
    level: Annotated[float, _expected("a number with 0.5 <= level < 1", ge=0.5, lt=1)] = 0.99
    measure: Annotated[Literal["var", "es", "worst"], _expected("'var', 'es' or 'worst'")] = "es"
    returns: Annotated[Literal["log", "simple"], _expected("'log' or 'simple'")] = "log"
    smile: Annotated[
        Literal["sticky_moneyness", "sticky_strike"], _expected("'sticky_moneyness' or 'sticky_strike'")
    ] = "sticky_moneyness"
    roll: Annotated[bool, _expected("true or false")] = False
    allow_unshocked: Annotated[
        tuple[str, ...], _expected('a list of factors such as "iv:BTC", "spot:BTC" or "fx:EUR"', strict=False)
    ] = ()
    fhs: Annotated[Fhs | None, _expected("a table")] = None
    monte_carlo: Annotated[MonteCarlo | None, _expected("a table")] = None
    core: Annotated[Core, _expected("a table")] = Core()
    concentration: Annotated[Concentration, _expected("a table")] = Concentration()
    liquidity: Annotated[Liquidity, _expected("a table")] = Liquidity()

    _name = field_validator("base_currency")(_identifier)

    @field_validator("allow_unshocked")
    @classmethod
    def _factors(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_unshocked(name) for name in value)

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, data: Any) -> Any:
        """[monte_carlo] takes from [fhs] what it does not say itself."""
        if not isinstance(data, dict):
            return data
        fhs, carlo = data.get("fhs"), data.get("monte_carlo")
        given = fhs.model_dump() if isinstance(fhs, Fhs) else fhs
        if isinstance(given, dict) and isinstance(carlo, dict):
            taken = {key: given[key] for key in ("lookback", "decay", "max_gap_days") if key in given}
            data = {**data, "monte_carlo": {**taken, **carlo}}
        return data

    @model_validator(mode="after")
    def _enabled(self) -> "Config":
        if self.fhs is None and self.monte_carlo is None:
            raise _contradiction("", "no model is enabled; expected a table [fhs] or [monte_carlo]")
        return self

    @property
    def as_of_us(self) -> int:
        """Microseconds since 1970 UTC."""
        return (self.as_of - _EPOCH) // datetime.timedelta(microseconds=1)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as in margin.toml and with every default, for run.json."""
        return self.model_dump(mode="json", exclude_none=True)

    @classmethod
    def load(cls, path: str | Path) -> "Config":
        """Read a margin.toml. Raises `InputError` with everything that is wrong."""
        from gpu_var.tables.config_file import load_config  # noqa: PLC0415 (it reads into this class)

        findings = Findings()
        config, _ = load_config(Path(path), findings)
        if config is None or findings.errors:
            raise InputError(findings)
        return config

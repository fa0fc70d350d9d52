"""margin.toml: what is to be computed. Exhaustive: an unknown key is a finding."""

import datetime
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import arrow
from pydantic import BeforeValidator, field_validator, model_validator

from gpu_var.tables.config_base import ConfigTable, contradiction, expected
from gpu_var.tables.config_batch import Batch
from gpu_var.tables.config_charges import CorrelationBreak, Diversification, Options
from gpu_var.tables.config_collateral import Collateral, Initial, Maintenance, agree
from gpu_var.tables.config_compare import Compare
from gpu_var.tables.config_models import Fhs, MonteCarlo, Stress
from gpu_var.tables.config_procyclicality import AntiProcyclicality
from gpu_var.tables.config_scan import Scan
from gpu_var.tables.config_sources import Sources
from gpu_var.tables.findings import Findings, InputError
from gpu_var.tables.presets import with_preset
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


INHERITED = ("lookback", "decay", "max_gap_days", "volatility", "volatility_floor")
"""What [monte_carlo] takes from [fhs] unless it says so itself."""


class Core(ConfigTable):
    """[core]: how the models' measures become one."""

    combine: Annotated[Literal["max", "blend"], expected("'max' or 'blend'")] = "max"
    stress_weight: Annotated[float | None, expected("a number from 0 to 1", ge=0, le=1)] = None

    @model_validator(mode="after")
    def _agrees(self) -> "Core":
        if self.combine == "max" and self.stress_weight is not None:
            text = f"{self.stress_weight:g} goes with combine 'blend' only; expected none with 'max'"
            raise contradiction("stress_weight", text)
        if self.combine == "blend" and self.stress_weight is None:
            raise contradiction("stress_weight", "missing with combine 'blend'; expected a number from 0 to 1")
        return self


class Concentration(ConfigTable):
    """[concentration]: the share of the daily volume that an unwinding position may take."""

    participation: Annotated[float, expected("a number with 0 < participation <= 1", gt=0, le=1)] = 0.25


class Liquidity(ConfigTable):
    """[liquidity]: no keys; the spreads stand in `underlyings`."""


class Config(ConfigTable):
    """margin.toml, checked. `Config.load` reads the file; keyword arguments do as well."""

    preset: Annotated[str | None, expected("the name of a preset; `gpu-var preset` lists them")] = None
    as_of: Annotated[datetime.datetime, BeforeValidator(_time), expected(_AS_OF)]
    base_currency: Annotated[str, expected("a currency, such as 'USD'")]
    holding_period_days: Annotated[int, expected("a whole number from 1 to 365", ge=1, le=365)] = 1
    level: Annotated[float, expected("a number with 0.5 <= level < 1", ge=0.5, lt=1)] = 0.99
    measure: Annotated[Literal["var", "es", "worst"], expected("'var', 'es' or 'worst'")] = "es"
    returns: Annotated[Literal["log", "simple"], expected("'log' or 'simple'")] = "log"
    smile: Annotated[
        Literal["sticky_moneyness", "sticky_strike"], expected("'sticky_moneyness' or 'sticky_strike'")
    ] = "sticky_moneyness"
    roll: Annotated[bool, expected("true or false")] = False
    allow_unshocked: Annotated[
        tuple[str, ...], expected('a list of factors such as "iv:BTC", "spot:BTC" or "fx:EUR"', strict=False)
    ] = ()
    fhs: Annotated[Fhs | None, expected("a table")] = None
    monte_carlo: Annotated[MonteCarlo | None, expected("a table")] = None
    scan: Annotated[Scan | None, expected("a table")] = None
    stress: Annotated[Stress | None, expected("a table")] = None
    core: Annotated[Core, expected("a table")] = Core()
    concentration: Annotated[Concentration, expected("a table")] = Concentration()
    liquidity: Annotated[Liquidity, expected("a table")] = Liquidity()
    diversification: Annotated[Diversification | None, expected("a table")] = None
    correlation_break: Annotated[CorrelationBreak | None, expected("a table")] = None
    options: Annotated[Options | None, expected("a table")] = None
    antiprocyclicality: Annotated[AntiProcyclicality | None, expected("a table")] = None
    collateral: Annotated[Collateral | None, expected("a table")] = None
    initial: Annotated[Initial | None, expected("a table")] = None
    maintenance: Annotated[Maintenance | None, expected("a table")] = None
    compare: Annotated[Compare | None, expected("a table")] = None
    sources: Annotated[Sources | None, expected("a table")] = None
    batch: Annotated[Batch, expected("a table")] = Batch()

    _name = field_validator("base_currency")(_identifier)

    @field_validator("allow_unshocked")
    @classmethod
    def _factors(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_unshocked(name) for name in value)

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, data: Any) -> Any:
        """The preset stands below what is said, and [monte_carlo] takes from [fhs] what it does not say itself."""
        if not isinstance(data, dict):
            return data
        try:
            data = with_preset(data)
        except LookupError as error:
            raise contradiction("preset", str(error.args[0])) from None
        fhs, carlo = data.get("fhs"), data.get("monte_carlo")
        given = fhs.model_dump() if isinstance(fhs, Fhs) else fhs
        if isinstance(given, dict) and isinstance(carlo, dict):
            taken = {key: given[key] for key in INHERITED if key in given}
            data = {**data, "monte_carlo": {**taken, **carlo}}
        return data

    @model_validator(mode="after")
    def _agrees(self) -> "Config":
        """What only makes sense together stands together."""
        filtered, blend = bool(self.fhs or self.monte_carlo), self.core.combine == "blend"
        if not (filtered or self.scan or self.stress):
            tables = "[fhs], [monte_carlo], [scan] or [stress]"
            raise contradiction("", f"no model is enabled; expected a table {tables}")
        if blend and not (filtered and self.stress):
            missing = "[stress]" if filtered else "[fhs] or [monte_carlo]"
            raise contradiction("core.combine", f"'blend' needs the model {missing}; expected its table, or 'max'")
        if self.correlation_break is not None and self.fhs is None:
            raise contradiction("correlation_break", "needs the model [fhs]; expected its table, or none of these")
        if self.correlation_break is not None and self.fhs is not None:
            h = self.holding_period_days if self.fhs.horizon == "overlapping" else 1
            self.correlation_break.check(self.fhs.lookback - h + 1, h)
        agree(self.initial, self.maintenance, level=self.level, measure=self.measure, has_tail=filtered)
        if self.antiprocyclicality is not None:
            self.antiprocyclicality.check(filtered=filtered, stress=self.stress is not None, blend=blend)
        return self

    @property
    def needs_history(self) -> bool:
        """Whether a model reads the history of the factors."""
        return bool(self.fhs or self.monte_carlo or (self.stress and self.stress.period))

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

"""[antiprocyclicality]: how margins are kept from rising when markets are already under stress."""

from typing import Annotated, Literal

from pydantic import model_validator

from gpu_var.tables.config_base import ConfigTable, contradiction, expected

Option = Literal["buffer", "stressed", "floor", "countercyclical"]

TABLE = "antiprocyclicality"


class AntiProcyclicality(ConfigTable):
    """[antiprocyclicality]: one of the three options of Article 28 of the Regulation (EU) 153/2013, or a fourth.

    The keys of the options that are not chosen may stand there too: `gpu-var procyclicality` compares all four.
    """

    option: Annotated[Option, expected("'buffer', 'stressed', 'floor' or 'countercyclical'")]
    lookback: Annotated[int, expected("a whole number of returns, 2 or more", ge=2)] = 2500
    buffer: Annotated[float, expected("a number with 0 <= buffer < 1", ge=0, lt=1)] = 0.25
    run_down_start: Annotated[float, expected("a number from 0.1 to 10", ge=0.1, le=10)] = 1.0
    run_down_end: Annotated[float, expected("a number from 0.1 to 100", ge=0.1, le=100)] = 2.0
    stressed_weight: Annotated[float, expected("a number from 0 to 1", ge=0, le=1)] = 0.25
    floor_share: Annotated[float, expected("a number from 0 to 1", ge=0, le=1)] = 0.8
    max_daily_rise: Annotated[float, expected("a number with 0 < max_daily_rise <= 1", gt=0, le=1)] = 0.05
    previous_days: Annotated[int, expected("a whole number from 1 to 30", ge=1, le=30)] = 1

    @model_validator(mode="after")
    def _agrees(self) -> "AntiProcyclicality":
        # M = m·(1 + b·(e − ρ)/(e − s)) has the slope 1 − b·e/(e − s) at ρ = e: below, more risk would ask for less.
        least = self.run_down_start / (1.0 - self.buffer)
        if self.run_down_end < least * (1.0 - 1e-12) or self.run_down_end <= self.run_down_start:
            text = (
                f"{self.run_down_end:g} makes the margin fall while the calculated margin rises; expected more than "
                f"run_down_start, and at least run_down_start / (1 - buffer) = {least:g}"
            )
            raise contradiction("run_down_end", text)
        return self

    def check(self, *, filtered: bool, stress: bool, blend: bool) -> None:
        """Raise the contradiction between this table and the models.

        Args:
            filtered: whether [fhs] or [monte_carlo] is enabled.
            stress: whether [stress] is.
            blend: whether core is blended with it.
        """
        key = f"{TABLE}.option"
        if self.option == "stressed" and not stress:
            raise contradiction(key, "'stressed' needs the model [stress]; expected its table, or another option")
        if self.option == "stressed" and blend:
            text = "'stressed' weighs [stress] as core.combine 'blend' already does; expected combine 'max'"
            raise contradiction(key, text)
        if not filtered:
            text = f"'{self.option}' needs a model that follows volatility; expected a table [fhs] or [monte_carlo]"
            raise contradiction(key, text)

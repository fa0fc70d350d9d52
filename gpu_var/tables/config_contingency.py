"""[scan.contingency], [scan.discount], [scan.damper]: what a venue's grid is completed by. Each is off without its
table.
"""

from typing import Annotated, Literal

from pydantic import model_validator

from gpu_var.tables.config_base import ConfigTable, contradiction, expected

Rate = Annotated[float, expected("a number from 0 to 1, a share of the notional", ge=0, le=1)]
Amount = Annotated[float, expected("an amount from 0 to 1e12", ge=0, le=1e12)]


class Static(ConfigTable):
    """[scan.contingency.static]: shares of spot notional; the defaults are Derive's (`PMRMLib.sol`, 2023)."""

    perpetual: Rate = 0.02
    spot: Rate = 0.02
    short_option: Rate = 0.01  # of what is net short at a strike, its call and its put taken together


class Basis(ConfigTable):
    """[scan.contingency.basis]: each expiry's forward moves alone; the defaults are Derive's (`PMRMLib.sol`, 2023)."""

    up: Annotated[float, expected("a number with 0 < up <= 10", gt=0, le=10)] = 0.05
    down: Annotated[float, expected("a number with 0 < down < 1", gt=0, lt=1)] = 0.05
    weight: Annotated[float, expected("a number from 0 to 10", ge=0, le=10)] = 0.25
    weight_per_year: Annotated[float, expected("a number from 0 to 10", ge=0, le=10)] = 0.01
    combine: Annotated[Literal["add", "max"], expected("'add' or 'max'")] = "add"


class OptionContingency(ConfigTable):
    """[scan.contingency.option]: for each option sold, and the least that any option costs."""

    rate: Rate = 0.0  # of the spot notional of every short option, whatever else is held
    minimum_per_contract: Amount = (
        0.0  # quote currency; the margin of an underlying is never under Σ|contracts|·minimum
    )
    minimum_long: Annotated[bool, expected("true or false")] = True  # long contracts count too, up to their value


class Roll(ConfigTable):
    """[scan.contingency.roll]: futures and perpetuals part from each other when they are rolled."""

    min_move: Rate = 0.01
    annual_move: Annotated[float, expected("a number from 0 to 10, per year to expiry", ge=0, le=10)] = 0.0


class Delta(ConfigTable):
    """[scan.contingency.delta]: the least margin for deltas, as shares of notional; the defaults are Paradex's."""

    hedged: Rate = 0.01  # of the deltas that offset each other
    unhedged: Rate = 0.02  # of the net delta

    @model_validator(mode="after")
    def _ordered(self) -> "Delta":
        if self.hedged > 2.0 * self.unhedged:
            most = f"expected at most twice unhedged, {2.0 * self.unhedged:g}"
            text = f"{self.hedged:g} makes positions that offset each other dearer together than apart; {most}"
            raise contradiction("hedged", text)
        return self


class Contingency(ConfigTable):
    """[scan.contingency]: added to the worst scenario of the grid, underlying by underlying."""

    static: Annotated[Static | None, expected("a table")] = None
    basis: Annotated[Basis | None, expected("a table")] = None
    option: Annotated[OptionContingency | None, expected("a table")] = None
    roll: Annotated[Roll | None, expected("a table")] = None
    delta: Annotated[Delta | None, expected("a table")] = None


class Discount(ConfigTable):
    """[scan.discount]: what positive value counts for; the defaults are Derive's (`PMRMLib.sol`, 2023)."""

    static: Annotated[float, expected("a number with 0 < static <= 1", gt=0, le=1)] = 0.95
    rate_multiple: Annotated[float, expected("a number from 0 to 100", ge=0, le=100)] = 4.0
    rate_add: Annotated[float, expected("a number from 0 to 1", ge=0, le=1)] = 0.05


class Damper(ConfigTable):
    """[scan.damper]: how much of the gains and losses beyond the price range is let go."""

    amount: Amount = 100_000.0  # base currency for each price range beyond the first, as Deribit's for BTC

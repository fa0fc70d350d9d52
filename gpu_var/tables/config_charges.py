"""[diversification], [correlation_break] and [options]: charges beyond the core. Each is off without its table."""

from typing import Annotated, Literal

from pydantic import Field

from gpu_var.tables.config_base import ConfigTable, contradiction, expected

_RATE = expected("a number from 0 to 1,000,000", ge=0, le=1e6)
_BASIS = expected("'sum' or 'max'")
Rate = Annotated[float, _RATE]
Basis = Literal["sum", "max"]
Share = Annotated[float, expected("a number from 0 to 1", ge=0, le=1)]


class Diversification(ConfigTable):
    """[diversification]: the share of the diversification benefit that the margin recognises.

    The default is the limit of Art. 27(4) of Commission Delegated Regulation (EU) 153/2013.
    """

    cap: Share = 0.8


class CorrelationBreak(ConfigTable):
    """[correlation_break]: what the historical measure varies by from one part of the look-back to the next.

    The defaults are this program's: no clearing house publishes all of its own. The tail of a short window is made of
    few scenarios, and varies by sampling too: the cap then often binds.
    """

    windows: Annotated[int, expected("a whole number of windows, 2 or more", ge=2)] = 3
    multiplier: Annotated[float, expected("a number from 0 to 100", ge=0, le=100)] = 1.0
    cap: Share = 0.25

    def check(self, scenarios: int, samples: int) -> None:
        """Raise the contradiction between `windows` and [fhs].

        Args:
            scenarios: of [fhs].
            samples: the sub-samples that its measures are averaged over: 1, or h with `horizon = "overlapping"`.
        """
        if self.windows * samples > scenarios:
            text = f"{self.windows} is too many for {scenarios:,} scenarios; expected at most {scenarios // samples:,}"
            raise contradiction("correlation_break.windows", text)


class UnderlyingOptions(ConfigTable):
    """[options.underlyings.NAME]: what differs from [options] for one underlying."""

    gamma_move: Annotated[float | None, _RATE] = None
    vega_points: Annotated[float | None, _RATE] = None
    short_minimum: Annotated[float | None, _RATE] = None
    short_minimum_basis: Annotated[Basis | None, _BASIS] = None


class Options(ConfigTable):
    """[options]: second-order risk of net short option positions; a parameter of 0 is off.

    Normal dynamics: `gamma_move` is in price units, `vega_points` in price units per √year, `short_minimum` in price
    units per unit of the underlying.
    """

    gamma_move: Rate = 0.0  # move of the spot, relative to it: 0.15 is 15 %
    vega_points: Rate = 0.0  # rise of the volatility: 0.05 is five points
    short_minimum: Rate = 0.0  # per unit of the underlying sold short by options, as a share of the spot
    short_minimum_basis: Annotated[Basis, _BASIS] = "sum"  # of short calls and short puts
    underlyings: Annotated[dict[str, UnderlyingOptions], expected("tables [options.underlyings.NAME]")] = Field(
        default_factory=dict
    )

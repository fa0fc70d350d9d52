"""[compare]: the parameters of the rules that a portfolio margin is compared with."""

from typing import Annotated

from gpu_var.tables.config_base import ConfigTable, expected

Rate = Annotated[float, expected("a number from 0 to 1", ge=0, le=1)]


class RegT(ConfigTable):
    """[compare.reg_t]: strategy-based margin in the style of Regulation T and of Cboe Rule 10.3."""

    naked: Rate = 0.20  # of the underlying, for a short option that nothing covers
    naked_index: Rate = 0.15  # likewise, for the underlyings of `broad_index`
    naked_minimum: Rate = 0.10  # of the underlying for calls, of the strike for puts
    broad_index: Annotated[tuple[str, ...], expected('a list of underlyings, such as ["SPX"]', strict=False)] = ()
    stock: Rate = 0.50  # of the value of what is held, or sold short, of the underlying itself
    futures: Rate = 0.15  # of the notional of futures and perpetuals
    long_term: Rate = 0.75  # of the price of a long option that expires later than `long_term_months`
    long_term_months: Annotated[float, expected("a number of months from 0 to 120", ge=0, le=120)] = 9.0


class Compare(ConfigTable):
    """[compare]: how `gpu-var compare` margins the accounts by other methods."""

    reg_t: Annotated[RegT, expected("a table")] = RegT()

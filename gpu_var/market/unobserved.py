"""The factors of a run whose models read no history: what is held has them, and scenarios name them."""

from dataclasses import replace

import numpy as np

from gpu_var.market.factors import held, tenor_years
from gpu_var.market.patterns import is_name
from gpu_var.tables.book import Book, History
from gpu_var.tables.config import Config

FLAT = "1y"
"""The tenor of a curve's only factor, which is flat: any would do."""

CURVES = ("iv", "forward", "rate")
"""The kinds of factors that have a tenor."""


def owners(book: Book, config: Config) -> tuple[list[str], list[str]]:
    """Names such as `spot:BTC`, `iv:BTC` and `rate:USD`, without a tenor: of what is held, and of all else."""
    needs = held(book, config.as_of_us)
    underlyings = [str(name) for name in book.underlyings.name.to_pylist()]
    currencies = book.currencies.name
    base = np.array([name == config.base_currency for name in currencies], np.bool_)
    concerned: list[str] = []
    others: list[str] = []
    for kind, names, of in (
        ("spot", underlyings, needs.underlying),
        ("iv", underlyings, needs.option),
        ("forward", underlyings, needs.forward & book.underlyings.carry),
        ("fx", currencies, needs.currency & ~base),
        ("rate", currencies, needs.rate),
    ):
        for name, wanted in zip(names, of.tolist(), strict=True):
            (concerned if wanted else others).append(f"{kind}:{name}")
    return concerned, others


def owner_of(name: str) -> str:
    """A factor's name, or a pattern's, without its tenor."""
    return name.rpartition(":")[0] if name.partition(":")[0] in CURVES else name


def with_unobserved(book: Book, config: Config) -> Book:
    """The book, with an empty column of history for every factor that its history lacks.

    These are the factors that the scenarios of [stress] name without a wildcard, and for all that is held and has none
    yet: `spot:U`, `iv:U:1y` where there are options, `fx:C`, `rate:C:1y`; what `allow_unshocked` waives is left out. No
    `forward:` factor is added unless it is named, so that a shock of the spot moves the forwards too.
    """
    concerned, _ = owners(book, config)
    known = dict.fromkeys(book.history.name)
    for scenario in config.stress.scenario if config.stress else ():
        known |= {name: None for name in scenario.shocks if _sound(name) and owner_of(name) in concerned}
    have = {*map(owner_of, known), *config.allow_unshocked}
    for name in concerned:
        kind = name.partition(":")[0]
        if kind != "forward" and name not in have:
            known[f"{name}:{FLAT}" if kind in CURVES else name] = None
    empty = np.zeros((0, len(known)))
    return replace(book, history=History(np.zeros(0, np.int64), tuple(known), empty))


def _sound(name: str) -> bool:
    """Whether a pattern is a factor's name, with a tenor where there is one."""
    curve = name.partition(":")[0] in CURVES
    return is_name(name) and (not curve or tenor_years(name.rpartition(":")[2]) is not None)

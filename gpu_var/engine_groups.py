"""Which underlyings the engine prepares, revalues and measures at once."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from gpu_var.market.factors import Factors
from gpu_var.market.state import Underlying

PREPARED_BYTES = 128 << 20
"""Scenarios' markets and fits of premiums of the underlyings that are prepared at once, one at least. As many again are
being prepared meanwhile."""

PREPARED_MATURITIES = 600
"""Maturities of the underlyings that are prepared at once: a second or two of a CPU's fits. More would keep whoever
revalues waiting at first; fewer would be fitted while every core revalues, which slows both."""

Item = TypeVar("Item")


def prepared_share(part: Underlying, factors: Factors, n_scenarios: int) -> float:
    """An underlying's share of what is prepared at once.

    It takes, nearly, a row of numbers a factor, and where rates or forwards have factors of their own, several a
    maturity and premium fitted.
    """
    n_maturities = len(part.market.horizon.years)
    own = len(factors.forward[part.position].years) + sum(len(tenors.years) for tenors in factors.rate)
    a_maturity = 3 * (1 + 2 * bool(part.instruments.american.any())) if own else 0
    used = 8 * n_scenarios * (4 + a_maturity * n_maturities)
    return max(used / PREPARED_BYTES, n_maturities / PREPARED_MATURITIES)


def batches_of(items: Sequence[Item], share: Sequence[float]) -> Iterator[list[Item]]:
    """Consecutive items whose shares of what there is room for together are no more than 1; one at least."""
    batch: list[Item] = []
    used = 0.0
    for item, own in zip(items, share, strict=True):
        if batch and used + own > 1.0:
            yield batch
            batch, used = [], 0.0
        batch.append(item)
        used += own
    if batch:
        yield batch


def pools_of(group: list[Underlying], pooled: bool) -> list[list[Underlying]]:
    """The underlyings of a group that are revalued as one: those of the same dynamics side by side, or each alone."""
    if not pooled:
        return [[part] for part in group]
    return [list(pool) for _, pool in groupby(group, lambda part: part.market.normal)]

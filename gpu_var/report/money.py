"""Amounts as people read them."""

import math


def decimals(largest: float) -> int:
    """Decimal places for six digits of the largest amount, and cents at the least: 2 for dollars, more for coins."""
    if not math.isfinite(largest) or largest == 0:
        return 2
    return min(12, max(2, 5 - math.floor(math.log10(abs(largest)))))


def money(amount: float | None, places: int = 2) -> str:
    """`1,234.50`; a dash for none."""
    if amount is None:
        return "–"
    text = f"{amount:,.{places}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text


def count(number: float) -> str:
    """`1,234` and, from a million on, `1.23 million`."""
    for size, name in ((1e9, "billion"), (1e6, "million")):
        if number >= size:
            return f"{number / size:.3g} {name}"
    return f"{number:,.0f}"

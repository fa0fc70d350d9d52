"""The case as a gpu-var book: a folder of CSV files and margin.toml. Standard library only."""

import csv
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from typing import Any

CONFIG = """as_of = {as_of}T00:00:00Z
base_currency = "{currency}"
level = {level}
measure = "var"
[fhs]
lookback = {scenarios}
scaling = "none"
"""


def write_book(case: dict[str, Any], folder: Path, level: float, *, apart: bool = False) -> Path:
    """Write the book: one account that holds everything or, `apart`, one contract of each option in its own."""
    folder.mkdir(parents=True, exist_ok=True)
    o, h, names = case["options"], case["history"], [u["name"] for u in case["underlyings"]]
    as_of = date.fromisoformat(case["as_of"])
    count = len(o["strike"])
    expiry = {d: (as_of + timedelta(d)).isoformat() for d in set(o["days"])}
    table(
        folder / "instruments.csv",
        "instrument kind underlying expiry strike right exercise iv",
        (
            (f"O{i:05d}", "option", names[u], expiry[d], k, right, case["exercise"], v)
            for i, (u, d, k, right, v) in enumerate(
                zip(o["underlying"], o["days"], o["strike"], o["right"], o["volatility"], strict=True)
            )
        ),
    )
    table(
        folder / "positions.csv",
        "account instrument quantity",
        ((f"A{i:05d}", f"O{i:05d}", 1) for i in range(count))
        if apart
        else (("A", f"O{i:05d}", q) for i, q in enumerate(o["quantity"])),
    )
    table(
        folder / "underlyings.csv",
        "underlying currency spot dividend_yield",
        ((u["name"], case["currency"], u["spot"], u["dividend_yield"]) for u in case["underlyings"]),
    )
    table(
        folder / "rates.csv",
        "currency expiry rate",
        [(case["currency"], (as_of + timedelta(365)).isoformat(), case["rate"])],
    )
    factors = [(kind, u) for kind, u in product(("spot", "volatility"), range(len(names)))]
    table(
        folder / "history.csv",
        ["date", *(f"spot:{names[u]}" if kind == "spot" else f"iv:{names[u]}:1y" for kind, u in factors)],
        zip(h["date"], *(h[kind][u] for kind, u in factors), strict=True),
    )
    text = CONFIG.format(as_of=case["as_of"], currency=case["currency"], level=level, scenarios=len(h["date"]) - 1)
    (folder / "margin.toml").write_text(text)
    return folder


def table(path: Path, header: str | Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """One CSV file."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header.split() if isinstance(header, str) else header)
        writer.writerows(rows)

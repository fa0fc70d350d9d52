"""A book small enough to read, whose accounts have awkward names."""

import csv
import math
from pathlib import Path

HEDGED, EMPTY = "=1+1", "nobody"
NAMES = ["../x", "<script>alert(1)</script>", HEDGED, "[red]日本[/red]", "plain"]

CONFIG = """
as_of = 2026-01-05T00:00:00Z
base_currency = "USD"
[fhs]
lookback = 50
[monte_carlo]
paths = 400
seed = 7
"""


def write_book(folder: Path) -> Path:
    """One stock, a call and a put on it, sixty days of history, five accounts with positions and one without."""
    folder.mkdir(parents=True)
    table(
        folder,
        "underlyings",
        ["underlying,currency,spot,adv,vega_adv,half_spread,vol_half_spread", "X,USD,100,1e6,1e6,0.001,0.005"],
    )
    table(
        folder,
        "instruments",
        [
            "instrument,kind,underlying,multiplier,expiry,strike,right",
            "X,spot,X,1,,,",
            "X-C,option,X,100,2026-03-20,105,call",
            "X-P,option,X,100,2026-03-20,95,put",
        ],
    )
    table(folder, "vols", ["underlying,expiry,strike,iv", "X,2026-03-20,90,0.24", "X,2026-03-20,110,0.2"])
    held = {"X": [100, -50, 500, 0, 12], "X-C": [-10, 3, -5, -1, 0], "X-P": [0, -4, 0, 2.5, 1]}
    rows = [[name, instrument, held[instrument][i]] for i, name in enumerate(NAMES) for instrument in held]
    with (folder / "positions.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["account", "instrument", "quantity"], *rows])
    with (folder / "accounts.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["account"], *([name] for name in [*NAMES, EMPTY])])
    days = [f"2025-{11 + i // 30:02}-{1 + i % 30:02}" for i in range(60)]
    levels = [
        (100 * math.exp(0.02 * math.sin(1.7 * i * i)), 0.2 * math.exp(0.05 * math.cos(2.3 * i * i))) for i in range(60)
    ]
    table(
        folder,
        "history",
        ["date,spot:X,iv:X:60d", *(f"{d},{s!r},{v!r}" for d, (s, v) in zip(days, levels, strict=True))],
    )
    (folder / "margin.toml").write_text(CONFIG)
    return folder


def table(folder: Path, name: str, lines: list[str]) -> None:
    (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of a folder with its content."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

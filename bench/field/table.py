"""The results as a table for people."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def seconds(value: dict[str, Any] | None) -> str:
    """A median with its quartiles and the number of runs."""
    if value is None:
        return "–"
    return f"{value['median']:.3g} ({value['lower']:.3g}–{value['upper']:.3g}; {value['runs']})"


def rate(value: float | None) -> str:
    """Revaluations a second."""
    return "–" if value is None else f"{value / 1e6:,.3f}"


def cells(row: dict[str, Any]) -> list[str]:
    """Of a row that was measured."""
    return [
        escape(row["label"]),
        row["version"] or "–",
        str(row["threads"]),
        "–" if row["difference"] is None else f"{row['difference']:.1e}",
        rate(row["rate"]),
        seconds(row["net"]),
        seconds(row["whole"]),
        "–" if row["start_up"] is None else f"{row['start_up']:.2f}",
        "–" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}",
        f"{row['lines']['once']:,}",
        f"{row['lines']['data']:,}",
    ]


def show(result: dict[str, Any], console: Console) -> None:
    """Print every case, then what was wanted."""
    for case in result["cases"]:
        table = Table(title=f"{case['name']}: {case['options']:,} options × {case['scenarios']:,} scenarios")
        table.add_column("peer", min_width=26, overflow="fold")
        for name in ("version", "cores", "max |Δ|/S", "M revaluations/s", "seconds of that", "whole process, s"):
            table.add_column(name, justify="right")
        for name in ("start-up, s", "MB", "lines once", "lines of data"):
            table.add_column(name, justify="right")
        for row in case["rows"]:
            table.add_row(*(cells(row) if row["status"] == "ok" else [escape(f"{row['label']}: {row['status']}")]))
        console.print(table)
        for row in case["rows"]:
            if row["status"] == "ok" and row.get("note"):
                console.print(f"{row['label']}: {row['note']}", markup=False, highlight=False)
    wanted = Table(title="What was to be shown")
    for name in ("comparison", "gpu-var", "peer", "ratio", "wanted"):
        wanted.add_column(name, justify="left" if name == "comparison" else "right")
    for claim in result["claims"]:
        style = "green" if claim["met"] else "red"
        wanted.add_row(
            escape(claim["what"]),
            f"{claim['gpu_var']:.4g}",
            f"{claim['peer']:.4g}",
            f"[{style}]{claim['ratio']:.1f}[/{style}]",
            f"{claim['wanted']}",
        )
    console.print(wanted)

"""The page of `gpu-var procyclicality`: self-contained, and the same bytes for the same path."""

from typing import Any

import numpy as np
import pyarrow as pa
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from gpu_var import __version__
from gpu_var.margin.constant_book import MarginPath
from gpu_var.margin.cyclicality_metrics import RISES, with_total
from gpu_var.report.figures import label
from gpu_var.report.money import decimals, money
from gpu_var.report.templates import embedded, templates, verbatim
from gpu_var.tables.book import F8, I8, Book
from gpu_var.tables.config import Config
from gpu_var.tables.config_procyclicality import AntiProcyclicality

PLOTTED = 50
"""Accounts that can be chosen in the plot, the largest margins."""

ROWS = 2000
"""Accounts in the table of the page; all stand in the summary."""

COLOURS = {
    "calculated": "#1d2733",
    "buffer": "#d08c2e",
    "stressed": "#a32020",
    "floor": "#2f5d8a",
    "countercyclical": "#7a9e5f",
}
_MEASURES = ("peak_to_trough", *(f"rise_{n}d" for n in RISES))


def render(path: MarginPath, summary: pa.Table, book: Book, config: Config, notes: list[str]) -> str:
    """The page as HTML.

    Args:
        summary: of `summary_table`, of the same path.
    """
    return templates().get_template("procyclicality.html").render(_context(path, summary, book, config, notes))


def day(at: int | np.int64) -> str:
    """A date of history as text, with the time of day where there is one."""
    text = str(np.datetime64(int(at), "us"))
    return text.removesuffix("T00:00:00.000000")


def _context(path: MarginPath, summary: pa.Table, book: Book, config: Config, notes: list[str]) -> dict[str, Any]:
    methods = list(path.margin)
    rows = _nested(summary, len(methods))
    last = path.margin["calculated"][-1]
    order = np.argsort(-np.nan_to_num(last, nan=-1.0), kind="stable")
    places = decimals(max((row[0]["peak"] or 0.0 for row in rows), default=0.0))
    table = config.antiprocyclicality
    return {
        "as_of": f"{config.as_of:%Y-%m-%d %H:%M:%S} UTC",
        "currency": config.base_currency,
        "version": __version__,
        "first": day(path.date[0]),
        "last": day(path.date[-1]),
        "dates": len(path.date),
        "every": path.every,
        "methods": methods,
        "option": "" if table is None else table.option,
        "parameters": list((table or AntiProcyclicality(option="buffer")).model_dump(exclude={"option"}).items()),
        "measures": _MEASURES,
        "total": rows[0],
        "choices": [str(book.accounts.name[int(a)]) for a in order[:PLOTTED]],
        "accounts": len(order),
        "rows": [(str(book.accounts.name[int(a)]), rows[1 + a]) for a in order[:ROWS].tolist()],
        "failed": len(path.failed),
        "money": lambda amount: money(amount, places),
        "figure": figure,
        "notes": notes,
        "data": embedded(_data(path, rows, book, config, order[:PLOTTED])),
        "plotly": Markup(get_plotlyjs().replace("</script", "<\\/script")),
        "script": verbatim("procyclicality.js"),
        "style": verbatim("page.css"),
    }


def figure(measure: str, value: float | None) -> str:
    """A measure as people read it: 3.01, and a rise as 63.9 %; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:,.2f}" if measure == "peak_to_trough" else f"{100.0 * value:,.1f} %"


def _nested(summary: pa.Table, n_methods: int) -> list[list[dict[str, Any]]]:
    """The rows of the summary by account, the total first, then by method."""
    rows = summary.to_pylist()
    return [rows[at : at + n_methods] for at in range(0, len(rows), n_methods)]


def _data(path: MarginPath, rows: list[list[dict[str, Any]]], book: Book, config: Config, chosen: I8) -> dict[str, Any]:
    """What the script draws: the total, then the chosen accounts, each by method."""
    columns = np.concatenate([[0], 1 + chosen])
    series = {method: with_total(path, method)[:, columns] for method in path.margin}
    return {
        "dates": [day(at) for at in path.date],
        "currency": label(config.base_currency),
        "methods": [{"name": method, "colour": COLOURS[method]} for method in path.margin],
        "names": ["All accounts", *(str(book.accounts.name[int(a)]) for a in chosen)],
        "margins": [[_rounded(series[method][:, c]) for method in path.margin] for c in range(len(columns))],
        "measures": [[[figure(m, row[m]) for m in _MEASURES] for row in rows[c]] for c in columns.tolist()],
    }


def _rounded(values: F8) -> list[float | None]:
    """To seven digits: more would only make the page larger."""
    return [float(f"{value:.7g}") if np.isfinite(value) else None for value in values]

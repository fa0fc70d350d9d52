"""An explanation as one page that needs no network: the same explanation gives the same bytes."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from gpu_var import __version__
from gpu_var.batch.explain import Explanation
from gpu_var.report.explain_words import (
    amounts,
    binding_words,
    component,
    core_words,
    expiry,
    percent,
    plain,
    quantity,
    shortened,
    split,
    split_words,
    standing,
)
from gpu_var.report.figures import label
from gpu_var.report.money import decimals
from gpu_var.report.templates import embedded, templates, verbatim

BARS = 20
"""Bars of a plot; the table beside it has all, up to `ROWS`."""

ROWS = 2000

_MORE, _LESS = "#c46a5a", "#5f8f6b"


def render(e: Explanation) -> str:
    """The page of an explanation as HTML."""
    return templates().get_template("explain.html").render(_context(e))


def _context(e: Explanation) -> dict[str, Any]:
    column = split(e)
    whole = e.contributions[column].null_count == 0 if e.contributions.num_rows else False
    return {
        "account": e.account,
        "version": __version__,
        "as_of": f"{e.config.as_of:%Y-%m-%d %H:%M:%S} UTC",
        "currency": e.config.base_currency,
        "row": e.row,
        "money": amounts(e),
        "percent": percent,
        "plain": plain,
        "quantity": quantity,
        "expiry": expiry,
        "component": component,
        "composition": e.composition.to_pylist(),
        "standing": standing(e),
        "core_words": core_words(e),
        "binding_words": binding_words(e),
        "scenarios": e.scenarios.to_pylist(),
        "shocks": e.shocks.to_pylist(),
        "scan": [] if e.scan is None else _scan(e.scan),
        "column": column,
        "split_words": split_words(e),
        "total": float(pc.sum(e.contributions[column]).as_py() or 0.0) if whole else None,
        "groups": [(by, _named(table, by, column, ROWS)) for by, table in _groups(e) if whole],
        "positions": _named(e.contributions, "instrument", column, ROWS) if whole else [],
        "before": e.before,
        "change": [] if e.change is None else e.change.to_pylist(),
        "drivers": [] if e.drivers is None else e.drivers.to_pylist(),
        "trades": [] if e.trades is None else e.trades.slice(0, ROWS).to_pylist(),
        "notes": e.notes,
        "data": embedded(_figures(e, column if whole else None)),
        "plotly": Markup(get_plotlyjs().replace("</script", "<\\/script")),
        "script": verbatim("explain.js"),
        "style": verbatim("page.css"),
    }


def _groups(e: Explanation) -> list[tuple[str, pa.Table]]:
    both = [("underlying", e.by_underlying), ("expiry", e.by_expiry)]
    return [(by, table) for by, table in both if table.num_rows > 1]


def _scan(table: pa.Table) -> list[tuple[str, str, float | str]]:
    return [
        (row["underlying"], name.replace("_", " "), value)
        for row in table.to_pylist()
        for name, value in row.items()
        if name != "underlying" and value
    ]


def _named(table: pa.Table, by: str, column: str, most: int) -> list[dict[str, Any]]:
    """The rows that are shown, each with its `name` and its `amount`."""
    rows = shortened(table, column, most)
    for row in rows:
        name = expiry(row[by]) if by == "expiry" else row[by]
        row["name"] = f"… {row['others']:,} others" if "others" in row else name
        row["amount"] = row[column]
    return rows


def _figures(e: Explanation, column: str | None) -> dict[str, Any]:
    """The plots by the element that they stand in: {data, layout} each."""
    figures = {"composition": _waterfall_of_parts(e)}
    if column is not None:
        figures["positions"] = _bars(e, _named(e.contributions, "instrument", column, BARS))
        figures |= {f"by-{by}": _bars(e, _named(table, by, column, BARS)) for by, table in _groups(e)}
    if e.change is not None:
        figures["change"] = _waterfall_of_change(e)
    return figures


def _places(e: Explanation) -> int:
    return decimals(max(abs(float(e.row["margin"] or 0.0)), float(e.before or 0.0)))


def _bars(e: Explanation, rows: list[dict[str, Any]]) -> dict[str, Any]:
    names = [label(row["name"]) for row in rows]
    at = list(range(len(rows)))
    values = [float(row["amount"]) for row in rows]
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": at,
        "x": values,
        "text": names,
        "textposition": "none",
        "marker": {"color": [_MORE if value > 0 else _LESS for value in values]},
        "hovertemplate": f"%{{text}}<br>%{{x:,.{_places(e)}f}}<extra></extra>",
    }
    layout = {
        "height": 90 + 24 * max(len(rows), 3),
        "margin": {"l": 10, "r": 20, "t": 10, "b": 50},
        "showlegend": False,
        "dragmode": False,
        "xaxis": _amounts(e),
        "yaxis": {"autorange": "reversed", "tickvals": at, "ticktext": names, "automargin": True},
    }
    return {"data": [trace], "layout": layout}


def _waterfall_of_parts(e: Explanation) -> dict[str, Any]:
    parts = e.composition.to_pylist()
    names = [component(row["component"]) + (f", {row['underlying']}" if row["underlying"] else "") for row in parts]
    shown = [(name, row["amount"]) for name, row in zip(names, parts, strict=True)]
    if len(shown) > BARS:
        rest = shown[BARS - 1 :]
        shown = [*shown[: BARS - 1], (f"{len(rest):,} others", sum(amount for _, amount in rest))]
    return _waterfall(e, [(name, "relative", amount) for name, amount in shown] + [("margin", "total", None)])


def _waterfall_of_change(e: Explanation) -> dict[str, Any]:
    assert e.change is not None
    steps = [(row["step"], "relative", row["change"]) for row in e.change.to_pylist()]
    return _waterfall(e, [("margin before", "absolute", e.before), *steps, ("margin now", "total", None)])


def _waterfall(e: Explanation, bars: list[tuple[str, str, float | None]]) -> dict[str, Any]:
    names, kinds, values = zip(*bars, strict=True)
    at = list(range(len(bars)))
    trace = {
        "type": "waterfall",
        "orientation": "h",
        "y": at,
        "x": list(values),
        "measure": list(kinds),
        "text": [label(name) for name in names],
        "textposition": "none",
        "connector": {"line": {"color": "#98a3b0", "width": 1}},
        "increasing": {"marker": {"color": _MORE}},
        "decreasing": {"marker": {"color": _LESS}},
        "totals": {"marker": {"color": "#2f5d8a"}},
        "hovertemplate": f"%{{text}}<br>%{{delta:,.{_places(e)}f}}, to %{{x:,.{_places(e)}f}}<extra></extra>",
    }
    layout = {
        "height": 90 + 28 * len(bars),
        "margin": {"l": 10, "r": 20, "t": 10, "b": 50},
        "showlegend": False,
        "dragmode": False,
        "xaxis": _amounts(e),
        "yaxis": {
            "autorange": "reversed",
            "tickvals": at,
            "ticktext": [label(name) for name in names],
            "automargin": True,
        },
    }
    return {"data": [trace], "layout": layout}


def _amounts(e: Explanation) -> dict[str, Any]:
    return {
        "title": {"text": label(e.config.base_currency), "standoff": 8},
        "automargin": True,
        "gridcolor": "#e5e8ec",
        "zerolinecolor": "#98a3b0",
    }

"""The page of `gpu-var compare`: self-contained, and the same bytes for the same comparison."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from gpu_var import __version__
from gpu_var.margin.compare import METHODS, totals_of
from gpu_var.report.figures import label
from gpu_var.report.money import count, decimals, money
from gpu_var.report.templates import embedded, templates, verbatim
from gpu_var.tables.config import Config
from gpu_var.tables.config_compare import Compare

PLOTTED = 25
"""Accounts in the plot, the largest margins."""

ROWS = 2000
"""Accounts in the table of the page; all stand in the table that is written."""

WHOLE = 1e5
"""The largest margin from which on cents are noise."""

NAMES = {
    "isolated": "isolated",
    "cross": "cross",
    "reg_t": "Reg T style",
    "fully_collateralised": "fully collateralised",
    "portfolio": "portfolio",
}
COLOURS = {
    "isolated": "#d08c2e",
    "cross": "#7a9e5f",
    "reg_t": "#a32020",
    "fully_collateralised": "#8a8f98",
    "portfolio": "#2f5d8a",
}


def render(table: pa.Table, config: Config, notes: list[str]) -> str:
    """The page as HTML.

    Args:
        table: of `margin.compare`.
    """
    return templates().get_template("compare.html").render(_context(table, config, notes))


def percent(value: float | None) -> str:
    """`63.9 %`; a dash for none."""
    return "–" if value is None or not math.isfinite(value) else f"{100.0 * value:,.1f} %"


def ratio(value: float | None) -> str:
    """`3.01`; a dash for none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:,.2f}"


def _context(table: pa.Table, config: Config, notes: list[str]) -> dict[str, Any]:
    order = pc.sort_indices(table, sort_keys=[("portfolio", "descending"), ("account", "ascending")])
    rows = table.take(order[:ROWS]).to_pylist()
    totals = totals_of(table)
    largest = max((row["portfolio"] or 0.0 for row in rows), default=0.0)
    places = 0 if largest >= WHOLE else decimals(largest)
    plotted = [row for row in rows if row["status"] == "ok"][:PLOTTED]
    return {
        "as_of": f"{config.as_of:%Y-%m-%d %H:%M:%S} UTC",
        "currency": config.base_currency,
        "version": __version__,
        "accounts": table.num_rows,
        "failed": table.num_rows - sum(pc.equal(table["status"], "ok").to_pylist()),
        "names": NAMES,
        "methods": METHODS,
        "totals": totals,
        "rows": rows,
        "plotted": len(plotted),
        "volumes": any(row["volume"] is not None for row in rows),
        "money": lambda amount: money(amount if amount is None or math.isfinite(amount) else None, places),
        "percent": percent,
        "ratio": ratio,
        "rules": list((config.compare or Compare()).reg_t.model_dump(mode="json").items()),
        "maintenance": config.maintenance is not None,
        "haircuts": config.collateral is not None,
        "notes": notes,
        "data": embedded(
            {
                "currency": label(config.base_currency),
                "places": places,
                "methods": [{"name": NAMES[m], "colour": COLOURS[m]} for m in METHODS],
                "totals": [one.margin for one in totals],
                "totals_text": [count(one.margin) for one in totals],
                "accounts": [label(row["account"]) for row in plotted],
                "margins": [[_positive(row[m]) for row in plotted] for m in METHODS],
            }
        ),
        "plotly": Markup(get_plotlyjs().replace("</script", "<\\/script")),
        "script": verbatim("compare.js"),
        "style": verbatim("page.css"),
    }


def _positive(value: float | None) -> float | None:
    """None where a logarithmic axis has no place for it."""
    return value if value is not None and np.isfinite(value) and value > 0 else None

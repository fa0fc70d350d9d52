"""`report.html`: one page that needs no network, with no time or host in it: the same run gives the same bytes."""

import json
from pathlib import Path
from typing import Any

import jinja2
import pyarrow.compute as pc
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from gpu_var import __version__
from gpu_var.batch.run import Run, plain
from gpu_var.report import figures
from gpu_var.report.money import decimals, money

ROWS = 2000
"""Accounts in the table of the page; all stand in `margin.parquet`."""

AMOUNTS = ("margin", "core", "concentration", "liquidity")

_MEASURE = {"var": "value at risk", "es": "expected shortfall", "worst": "worst loss"}
_SCALING = {
    "full": "Past returns, each divided by the volatility of its day and multiplied by that of today",
    "mid": "Past returns, each rescaled half-way from the volatility of its day to that of today",
    "none": "Past returns as they were, not rescaled to the volatility of today",
}
_HERE = Path(__file__).parent
_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def render(run: Run) -> str:
    """The page of a run as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("page.html").render(_context(run))


def embedded(tree: Any) -> Markup:
    """JSON that can stand inside a script element, whatever text is in it."""
    return Markup(json.dumps(tree, ensure_ascii=True, allow_nan=False, separators=(",", ":")).translate(_ESCAPES))


def _context(run: Run) -> dict[str, Any]:
    config = run.config
    rows = run.margin.take(figures.by_margin(run, ROWS)).to_pylist()
    totals = {name: pc.sum(run.margin[name]).as_py() or 0.0 for name in AMOUNTS}
    places = decimals(max((row["margin"] or 0.0 for row in rows), default=0.0))
    failed = run.failed.num_rows
    return {
        "as_of": f"{config.as_of:%Y-%m-%d %H:%M:%S} UTC",
        "currency": config.base_currency,
        "level": f"{config.level * 100:.10g} %",
        "measure": _MEASURE[config.measure],
        "days": config.holding_period_days,
        "accounts": run.margin.num_rows,
        "failed": failed,
        "totals": totals,
        "amounts": AMOUNTS,
        "rows": rows,
        "money": lambda amount: money(amount, places),
        "notes": run.notes,
        "bars": min(figures.BARS, len(rows)),
        "histogram_accounts": [row["account"] for row in rows[: figures.HISTOGRAMS]],
        "models": [name for key, name in figures.MODELS.items() if key in run.pnl],
        "scaling": "" if config.fhs is None else _SCALING[config.fhs.scaling],
        "monte_carlo": config.monte_carlo is not None,
        "facts": _facts(run),
        "inputs": sorted(run.inputs.items()),
        "data": embedded({"composition": figures.composition(run), "losses": figures.histograms(run)}),
        "plotly": Markup(get_plotlyjs().replace("</script", "<\\/script")),
        "script": Markup((_HERE / "page.js").read_text(encoding="utf-8")),
        "style": Markup((_HERE / "page.css").read_text(encoding="utf-8")),
    }


def _facts(run: Run) -> list[tuple[str, str]]:
    facts = [("gpu-var", __version__), ("backend", run.backend), ("precision", run.precision)]
    facts += [(name.replace("_", " "), f"{number:,}") for name, number in run.counts.items()]
    return facts + _lines(plain(run.config))


def _lines(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for key, value in tree.items():
        if isinstance(value, dict):
            lines += _lines(value, f"{prefix}{key}.")
        else:
            lines.append((f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
    return lines

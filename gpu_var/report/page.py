"""`report.html`: one page that needs no network, with no time or host in it: the same run gives the same bytes."""

import base64
import hashlib
from typing import Any

import numpy as np

from gpu_var.batch.run import Run
from gpu_var.margin.diagnostics import SIMULATED
from gpu_var.report import concentration, figures, health, summary
from gpu_var.report.grid import FIRST, Grid
from gpu_var.report.headlines import headlines
from gpu_var.report.money import decimals, money
from gpu_var.report.movement import Movement, lines, movement
from gpu_var.report.scan_parts import scan_parts
from gpu_var.report.source import Source, of_run
from gpu_var.report.templates import embedded, templates, verbatim
from gpu_var.report.words import CHARGES, MEASURE, SCALING, STANDING

WHOLE = 1e5
"""The largest margin from which on cents are noise; `margin.parquet` has them."""


def render(run: Run, previous: Source | None = None) -> str:
    """The page of a run as HTML, with what has changed since `previous` where that is given."""
    return render_source(of_run(run), previous)


def render_source(source: Source, previous: Source | None = None) -> str:
    """As `render`, of a run that may have ended some time ago. Raises `UsageError` for another base currency."""
    moved = None if previous is None else movement(source, previous)
    return templates().get_template("page.html").render(_context(source, moved))


def _context(source: Source, moved: Movement | None) -> dict[str, Any]:
    config = source.config
    places = _places(source)
    grids = _grids(source, moved, places)
    losses = _losses(source, moved, places)
    script = verbatim("page.js", "page_grid.js", "page_losses.js")
    days = int(config["holding_period_days"])
    errors, _ = health.standard_errors(source)
    return {
        "source": source,
        "moved": moved,
        "as_of": source.as_of,
        "currency": source.currency,
        "level": f"{config['level'] * 100:.10g} %",
        "measure": MEASURE[config["measure"]],
        "period": f"{days} day{'' if days == 1 else 's'}",
        "simulated": any(model in config for model in SIMULATED),
        "enabled": [name for key, name in figures.MODELS.items() if key in config],
        "total": float(np.nansum(source.amount("margin"))),
        "accounts": source.margin.num_rows,
        "failed": int(np.count_nonzero(~source.ok)),
        "stands": [(n, *STANDING[n]) for n in STANDING] if source.has("standing") else [],
        "standing": _standing(source),
        "headlines": headlines(source, moved, places),
        "components": summary.components(source, moved),
        "colours": {c.name: at % 10 for at, c in enumerate(summary.components(source, moved))},
        "bars": figures.composition(source),
        "grids": grids,
        "binding_of": summary.scenarios(source, places)[1],
        "by_kind": summary.by_kind(source) if "members" in grids else [],
        "shares": concentration.shares(source),
        "effective": concentration.effective_accounts(source),
        "sizes": concentration.sizes(source),
        "late": concentration.late_cells(source),
        "errors": errors,
        "large_error": health.LARGE_ERROR,
        "apart": health.apart(source),
        "exceedances": health.exceedances(source),
        "floors": health.floors(source),
        "losses": losses,
        "charges": [(c, *CHARGES.get(c, (summary.words(c), ""))) for c in source.charges],
        "words": summary.words,
        "scaling": SCALING[config["fhs"]["scaling"]] if "fhs" in config else "",
        "monte_carlo": "monte_carlo" in config,
        "facts": _facts(source),
        "first": FIRST,
        "money": lambda amount: money(None if amount is None or not np.isfinite(amount) else float(amount), places),
        "signed": lambda amount: _signed(float(amount), places),
        "percent": lambda ratio: f"{100.0 * ratio:,.1f} %",
        "data": embedded({"grids": {key: grid.data for key, grid in grids.items()}, "losses": losses}),
        "script": script,
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "style": verbatim("page.css", "report.css"),
    }


def _places(source: Source) -> int:
    margin = source.amount("margin")
    largest = float(np.max(margin, where=np.isfinite(margin), initial=0.0))
    return 0 if largest >= WHOLE else decimals(largest)


def _signed(amount: float, places: int) -> str:
    text = money(amount, places)
    return text if text.startswith("-") or not text.strip("0.,") else f"+{text}"


def _grids(source: Source, moved: Movement | None, places: int) -> dict[str, Grid]:
    """The tables that have something in them, by name."""
    grids = [
        summary.accounts(source, moved, places),
        summary.models(source, places),
        summary.scenarios(source, places)[0],
        scan_parts(source, places),
        concentration.underlyings(source, places),
        concentration.slowest(source, places),
        summary.failures(source),
    ]
    if moved is not None:
        grids += [summary.movers(source, moved, places), summary.gone(moved, places)]
    if summary.has_members(source):
        grids.append(summary.members(source, moved, places))
    return {grid.key: grid for grid in grids if grid.rows}


def _losses(source: Source, moved: Movement | None, places: int) -> dict[str, Any]:
    """Histograms of the largest margins, then of the largest moves that are not among them."""
    rows = figures.by_margin(source, figures.HISTOGRAMS)
    if moved is not None:
        change = np.abs(np.nan_to_num(moved.change(source)))
        largest = np.argsort(-change, kind="stable")[: figures.BARS]
        rows = np.concatenate([rows, largest[~np.isin(largest, rows) & (change[largest] > 0)]])
    return figures.histograms(source, rows, places)


def _standing(source: Source) -> dict[str, int]:
    """How many accounts stand how."""
    if not source.has("standing"):
        return {}
    counted = source.margin["standing"].value_counts().to_pylist()
    return {row["values"]: row["counts"] for row in counted if row["values"] is not None}


def _facts(source: Source) -> list[tuple[str, str]]:
    facts = [(name, str(source.facts[key])) for key, name in _SAID.items()]
    facts += [(name, version) for name, version in source.facts["versions"].items()]
    facts += [(name.replace("_", " "), f"{number:,}") for name, number in source.facts["counts"].items()]
    return facts + lines(source.config)


_SAID = {"version": "gpu-var", "backend": "backend", "device": "device", "precision": "precision"}

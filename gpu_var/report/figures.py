"""The numbers behind the plots of the report: plain data, drawn as elements of the page."""

import html
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from gpu_var.margin.diagnostics import BINS, PREFIX, SIMULATED
from gpu_var.report.grid import rounded
from gpu_var.report.source import Source, numbers

BARS = 20
HISTOGRAMS = 100
"""Accounts whose losses can be looked at: those with the largest margins."""

_LABEL = 28

MODELS = {
    "fhs": "Filtered historical simulation",
    "monte_carlo": "Monte Carlo",
    "scan": "Scan",
    "stress": "Stress scenarios",
    "blend": "Blend of simulation and stress",
}


def by_margin(source: Source, most: int | None = None) -> npt.NDArray[np.intp]:
    """Rows of `margin`, the largest first, at most `most`; accounts that failed come last."""
    order = pc.sort_indices(
        source.margin.select(["margin", "account"]), sort_keys=[("margin", "descending"), ("account", "ascending")]
    )
    return np.asarray(order, dtype=np.intp)[:most]


def composition(source: Source) -> list[dict[str, Any]]:
    """The bars of the largest margins: {account, margin, parts: [(component, amount, share of the longest bar)]}.

    What is taken off, a charge below zero, has no length; the amounts have it.
    """
    rows = by_margin(source, BARS)
    rows = rows[np.isfinite(source.amount("margin")[rows])]
    names = source.components
    amounts = np.stack([source.amount(name)[rows] for name in names], axis=1)
    length = np.maximum(amounts, 0.0)
    longest = max(float(length.sum(axis=1).max(initial=0.0)), 1e-300)
    return [
        {
            "account": account,
            "margin": margin,
            "parts": [(n, float(a), float(w)) for n, a, w in zip(names, of, width, strict=True) if a],
        }
        for account, margin, of, width in zip(
            source.margin["account"].take(rows).to_pylist(),
            source.amount("margin")[rows].tolist(),
            amounts,
            length / longest,
            strict=True,
        )
    ]


def histograms(source: Source, rows: npt.NDArray[np.intp], places: int) -> dict[str, Any]:
    """Loss histograms of some accounts.

    {accounts: names, places, currency, models: [{name, scenarios, first, width, counts, var, es, worst}]}, where
    `first` is the lower edge of the first bin, `width` that of a bin, each a list with an entry an account, and
    `counts` a list of lists, [] for an account that failed. No models without diagnostics.
    """
    told = source.diagnostics
    models = [m for m in SIMULATED if told is not None and f"{PREFIX[m]}_counts" in told.column_names]
    return {
        "accounts": source.margin["account"].take(rows).to_pylist(),
        "places": places,
        "currency": source.currency,
        "models": [_histogram(source, model, rows, places) for model in models],
    }


def _histogram(source: Source, model: str, rows: npt.NDArray[np.intp], places: int) -> dict[str, Any]:
    prefix, told = PREFIX[model], source.diagnostics
    assert told is not None
    shown = told.take(rows)
    counts = shown[f"{prefix}_counts"].to_pylist()
    finer = places + 3  # edges of bins, which are narrower than what is shown

    def of_margin(column: str) -> list[float | int | None]:
        return rounded(source.amount(f"{prefix}_{column}")[rows], places)

    return {
        "name": MODELS[model],
        "scenarios": int(source.facts["counts"].get(f"scenarios_{model}", 0)),
        "first": rounded(numbers(shown, f"{prefix}_first"), finer),
        "width": rounded(numbers(shown, f"{prefix}_width"), finer),
        "counts": [[] if c is None else c for c in counts],
        "bins": BINS,
        "var": of_margin("var"),
        "es": of_margin("es"),
        "worst": of_margin("worst"),
    }


def label(name: str) -> str:
    """A name as text for plotly, which reads a few tags of HTML: escaped, and cut where it is long."""
    short = name if len(name) <= _LABEL else f"{name[: _LABEL - 1]}…"
    return html.escape(short, quote=False)

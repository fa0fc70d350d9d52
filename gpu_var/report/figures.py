"""The plots of the report as plotly specifications: plain data, drawn in the browser."""

import html
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpu_var.batch.run import Run
from gpu_var.report.money import decimals

BARS = 20
HISTOGRAMS = 100
_BINS = 60
_LABEL = 28

MODELS = {"fhs": "Filtered historical simulation", "monte_carlo": "Monte Carlo"}
_PREFIX = {"fhs": "fhs", "monte_carlo": "mc"}
_COLOURS = {"core": "#2f5d8a", "concentration": "#d08c2e", "liquidity": "#7a9e5f"}


def by_margin(run: Run, most: int | None = None) -> npt.NDArray[np.intp]:
    """Rows of `margin`, the largest first, at most `most`; accounts that failed come last."""
    order = pc.sort_indices(
        run.margin.select(["margin", "account"]), sort_keys=[("margin", "descending"), ("account", "ascending")]
    )
    return np.asarray(order, dtype=np.intp)[:most]


def composition(run: Run) -> dict[str, Any]:
    """Stacked bars of core, concentration and liquidity: {data, layout}, the largest margin on top."""
    rows = by_margin(run, BARS)
    shown = run.margin.take(rows)
    names = [label(str(name)) for name in shown["account"].to_pylist()]
    at = list(range(len(names)))
    places = decimals(float(np.nanmax(numbers(shown, "margin"), initial=0.0)))
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "y": at,
            "x": _json_numbers(numbers(shown, name)),
            "text": names,
            "textposition": "none",
            "marker": {"color": colour},
            "hovertemplate": f"%{{text}}<br>{name} %{{x:,.{places}f}}<extra></extra>",
        }
        for name, colour in _COLOURS.items()
    ]
    layout = {
        "barmode": "stack",
        "height": 110 + 24 * max(len(names), 4),
        "margin": {"l": 10, "r": 20, "t": 40, "b": 50},
        "xaxis": {
            "title": {"text": label(run.config.base_currency), "standoff": 8},
            "automargin": True,
            "gridcolor": "#e5e8ec",
        },
        "yaxis": {"autorange": "reversed", "tickvals": at, "ticktext": names, "automargin": True},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        "dragmode": False,
    }
    return {"data": data, "layout": layout}


def histograms(run: Run) -> dict[str, Any]:
    """Loss histograms of the accounts with the largest margins.

    {accounts: names, places, currency, models: [{name, scenarios, first, width, counts, var, es, worst}]}, where
    `first` is the lower edge of the first bin, `width` that of a bin, each a list with an entry an account, and
    `counts` a list of lists.
    """
    rows = by_margin(run, HISTOGRAMS)
    shown = run.margin.take(rows)
    models = [_histogram(run, name, rows, shown) for name in MODELS if name in run.pnl]
    return {
        "accounts": shown["account"].to_pylist(),
        "places": decimals(float(np.nanmax(numbers(shown, "margin"), initial=0.0))),
        "currency": run.config.base_currency,
        "models": models,
    }


def _histogram(run: Run, model: str, rows: npt.NDArray[np.intp], shown: pa.Table) -> dict[str, Any]:
    losses = -run.pnl[model][rows]
    first, width, counts = bins(losses)
    prefix = _PREFIX[model]
    return {
        "name": MODELS[model],
        "scenarios": losses.shape[1],
        "first": _json_numbers(first),
        "width": _json_numbers(width),
        "counts": counts.tolist(),
        "var": _json_numbers(numbers(shown, f"{prefix}_var")),
        "es": _json_numbers(numbers(shown, f"{prefix}_es")),
        "worst": _json_numbers(numbers(shown, f"{prefix}_worst")),
    }


def bins(
    losses: npt.NDArray[np.float64], number: int = _BINS
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Counts of losses (n_accounts, n_scenarios) in equal bins, row by row.

    Returns the lower edge of the first bin (n_accounts,), the width of a bin (n_accounts,), the counts (n_accounts,
    number). What is not finite, as where an account failed, is not counted.
    """
    finite = np.isfinite(losses)
    lowest = np.min(losses, axis=1, where=finite, initial=np.inf)
    highest = np.max(losses, axis=1, where=finite, initial=-np.inf)
    none = lowest > highest
    lowest, highest = np.where(none, 0.0, lowest), np.where(none, 0.0, highest)
    spread = highest - lowest
    least = np.maximum(1e-9 * np.maximum(np.abs(lowest), np.abs(highest)), 1e-12)  # one loss alone still needs a bin
    width = np.maximum(spread, least) / number
    place = np.where(finite, losses - lowest[:, None], 0.0) / width[:, None]
    which = np.clip(place.astype(np.int64), 0, number - 1) + number * np.arange(len(losses))[:, None]
    counts = np.bincount(which[finite], minlength=number * len(losses)).reshape(len(losses), number)
    return lowest, width, counts


def label(name: str) -> str:
    """A name as text for plotly, which reads a few tags of HTML: escaped, and cut where it is long."""
    short = name if len(name) <= _LABEL else f"{name[: _LABEL - 1]}…"
    return html.escape(short, quote=False)


def numbers(table: pa.Table, column: str) -> npt.NDArray[np.float64]:
    """A column of float64 as an array, NaN where it is null."""
    return np.asarray(table[column].to_numpy(), dtype=np.float64)


def _json_numbers(values: npt.NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]

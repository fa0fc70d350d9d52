"""What the terminal and the page of an explanation have in common: words, and which rows are shown."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gpu_var.batch.explain import Explanation
from gpu_var.report.money import decimals, money

MEASURE = {"var": "value at risk", "es": "expected shortfall", "worst": "worst loss"}
MODEL = {
    "fhs": "filtered historical simulation",
    "monte_carlo": "Monte Carlo",
    "stress": "stress scenarios",
    "scan": "scan",
}
COMPONENT = {
    "liquidity_delta": "liquidity (delta)",
    "liquidity_vega": "liquidity (vega)",
}


def amounts(e: Explanation) -> Callable[[float | None], str]:
    """How amounts of this account are written: with as many decimals as the margin needs."""
    largest = max(abs(float(e.row["margin"] or 0.0)), float(e.before or 0.0))
    places = decimals(largest)
    return lambda amount: money(amount, places)


def component(name: str) -> str:
    """The words for a part of a margin."""
    return COMPONENT.get(name, name.replace("_", " "))


_STANDING = ("net_option_value", "initial", "maintenance", "collateral", "requirement", "excess", "standing")


def standing(e: Explanation) -> list[tuple[str, float | str]]:
    """What margin.parquet says beside the margin: net option value and, where they are given, initial and maintenance
    margin, collateral, requirement, excess, and how the account stands.
    """
    return [(name.replace("_", " "), value) for name in _STANDING if (value := e.row.get(name)) is not None]


def split(e: Explanation) -> str:
    """The column of contributions that is shown: core, or where it has none the first model that has."""
    names = e.contributions.column_names
    if not e.contributions.num_rows or e.contributions["core"].null_count == 0:
        return "core"
    return next((model for model in (*e.shares, "fhs", "monte_carlo", "scan", "stress") if model in names), "core")


def split_words(e: Explanation) -> str:
    """What that column adds up to."""
    column = split(e)
    if column == "core":
        return "core" if _positive_core(e) else "core before its floor of 0"
    return {"scan": "the scan risk", "stress": "the worst stress loss"}.get(
        column, f"the {MEASURE[e.config.measure]} of {MODEL[column]}"
    )


def _positive_core(e: Explanation) -> bool:
    return e.row["core"] != 0.0 or not float(pc.sum(e.contributions["core"]).as_py() or 0.0) < 0.0


def core_words(e: Explanation) -> str:
    """Where core comes from, in a sentence."""
    if not e.shares:
        return "The account holds nothing."
    level = f"{e.config.level * 100:.10g} %"
    days = e.config.holding_period_days
    over = f"over {days} day{'' if days == 1 else 's'}"
    parts = []
    for model, share in e.shares.items():
        measure = MEASURE[e.config.measure] + ("" if e.config.measure == "worst" else f" at {level}")
        what = {"stress": "the worst of the stress scenarios", "scan": "the scan"}.get(
            model, f"the {measure} {over} of {MODEL[model]}"
        )
        parts.append(what if share == 1.0 else f"{share:.10g} × {what}")
    text = f"Core is {' + '.join(parts)}"
    return f"{text}; it is negative, a gain, and so counts as 0." if not _positive_core(e) else f"{text}."


def binding_words(e: Explanation) -> str:
    """What the binding scenario is."""
    if e.binding is None:
        return ""
    model, name = e.binding
    role = "the scenario that value at risk is the loss of" if e.config.measure == "var" else "the worst scenario"
    return f"{model}:{name}, {role}"


def shortened(table: pa.Table, column: str, most: int) -> list[dict[str, Any]]:
    """At most so many rows of a table sorted by a column, descending: two thirds from its beginning and one from its
    end, where the offsets are; those between are summed into a row without names, `others` its number of rows.
    """
    rows: list[dict[str, Any]] = table.to_pylist()
    if len(rows) <= most:
        return rows
    tail = most // 3
    head = most - tail
    between = rows[head : len(rows) - tail]
    empty = dict.fromkeys(table.column_names)
    others = {**empty, column: sum(row[column] for row in between), "others": len(between)}
    return [*rows[:head], others, *rows[len(rows) - tail :]]


def expiry(value: Any) -> str:
    """A date, with the time where it is not midnight; a dash for what does not expire."""
    if value is None:
        return "–"
    return f"{value:%Y-%m-%d}" if value.hour == value.minute == 0 else f"{value:%Y-%m-%d %H:%M}"


def quantity(value: float | None) -> str:
    """`-1,200` or `0.25`, without superfluous zeros."""
    return "" if value is None else f"{value:,.10g}"


def plain(value: float | None, digits: int = 6) -> str:
    """A level or a shock."""
    return "–" if value is None else f"{value:,.{digits}g}"


def percent(value: float | None) -> str:
    """`12.3 %`."""
    return "–" if value is None else f"{100 * value:.4g} %"

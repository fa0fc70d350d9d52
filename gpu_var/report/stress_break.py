"""What would break the resources, and what closing defaults out would cost: both as the page shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_var.market.patterns import matches
from gpu_var.report.grid import Column, Grid
from gpu_var.report.money import decimals, money
from gpu_var.report.source import numbers, texts
from gpu_var.report.stress_map import Map
from gpu_var.report.stress_source import StressSource, Text
from gpu_var.report.stress_words import BEFORE, LAYERS, both, move, unit_of

PLANS = {"liquidate": "sell over days", "hedge_and_auction": "hedge, then auction"}
PARTS = (("spread", "c-0"), ("impact", "c-1"), ("auction", "c-3"))


@dataclass(frozen=True)
class Way:
    """One way to close out, all underlyings together; base currency."""

    name: str
    days: float
    amounts: list[float | None]  # spread, impact, auction
    cost: float | None
    risk: float | None
    parts: list[tuple[str, str, float, float]]  # of the bar: name, class, amount, width in per cent


@dataclass(frozen=True)
class CloseOut:
    """Both ways."""

    text: str
    ways: list[Way]


def close_out(source: StressSource, places: int) -> CloseOut | None:
    """Both ways to close the defaulters out; None where it was not asked for."""
    told = source.facts.get("close_out")
    if not told:
        return None
    longest = max((told[key]["cost"] or 0.0) + (told[key]["risk"] or 0.0) for key in PLANS) or 1.0
    ways = []
    for key, name in PLANS.items():
        plan = told[key]
        shown = [(part, look, plan[part] or 0.0) for part, look in PARTS] + [
            ("remaining risk", "risk", plan["risk"] or 0.0)
        ]
        ways.append(
            Way(
                name,
                plan["days"] or 0.0,
                [plan[part] for part, _ in PARTS],
                plan["cost"],
                plan["risk"],
                [(part, look, amount, 100.0 * amount / longest) for part, look, amount in shown if amount > 0.0],
            )
        )
    return CloseOut(close_out_words(source, places) or "", ways)


def close_out_words(source: StressSource, places: int) -> str | None:
    """Who is closed out, and how the two ways compare."""
    told = source.facts.get("close_out")
    if not told:
        return None
    sold, hedged = (told[key] for key in PLANS)

    def amount(value: float | None) -> str:
        return money(value, places)

    def risk(plan: Mapping[str, Any]) -> str:
        return "a risk that is not known" if plan["risk"] is None else f"a risk of {amount(plan['risk'])}"

    where = "in today's market" if told["scenario"] is None else f"after {both([told['scenario']])}"
    return (
        f"Closing out {both(told['defaulters'])} {where} costs {amount(sold['cost'])} {source.currency} if sold over "
        f"{sold['days']:,.1f} days, and leaves {risk(sold)} until it is done; hedged first and auctioned, "
        f"{amount(hedged['cost'])} and {risk(hedged)}."
    )


def close_out_grid(source: StressSource, places: int) -> Grid:
    """What both ways cost, underlying by underlying."""
    if not source.has("close_out"):
        return Grid("close_out", "Close-out", [Column("underlying", "underlying", "name", np.array([], object))])
    table = source.tables["close_out"]
    kept = np.flatnonzero([one is not None for one in table["underlying"].to_pylist()])
    table = table.take(kept)

    def amount(name: str, title: str) -> Column:
        return Column(name, title, "money", numbers(table, name), places)

    columns = [
        Column("underlying", "underlying", "name", texts(table, "underlying")),
        Column("strategy", "way", "text", _words(texts(table, "strategy"), PLANS), choose=True),
        Column("delta", "delta, units", "money", numbers(table, "delta"), 1),
        Column("volume_days", "size, days of volume", "number", numbers(table, "volume_days")),
        Column("days", "days of trading", "number", numbers(table, "days")),
        *(amount(part, part) for part, _ in PARTS),
        amount("cost", "cost"),
        amount("risk", "remaining risk"),
    ]
    return Grid("close_out", "Close-out by underlying", columns)


def reverse(source: StressSource) -> list[dict[str, Any]]:
    """What exhausts each layer that was asked for."""
    order = list(LAYERS)
    return [
        one
        | {
            "name": LAYERS[one["layer"]][0],
            "look": f"m{order.index(one['layer']) + 1}",
            "words": one["words"].partition(": ")[2],
            "defaulters": " + ".join(one["defaulters"]),
        }
        for one in source.facts.get("reverse") or []
    ]


def reverse_grid(source: StressSource) -> Grid:
    """The moves that exhaust the layers, those that are most standard deviations first."""
    if not source.has("reverse"):
        return Grid("reverse", "Moves", [Column("factor", "factor", "name", np.array([], object))])
    table = source.tables["reverse"]
    layer, sigmas = texts(table, "layer"), numbers(table, "sigmas")
    place = np.array([list(LAYERS).index(one) for one in layer])
    order = np.lexsort([np.arange(len(layer)), -np.abs(sigmas), place])
    order = order[sigmas[order] != 0.0]
    additive = source.additive
    moves = zip(texts(table, "factor"), numbers(table, "shock").tolist(), strict=True)
    said = np.array(
        [move(shock, unit_of(factor, additive.get(factor, False))) for factor, shock in moves], dtype=object
    )

    def level(name: str) -> Column:
        values = numbers(table, name)[order]
        places = decimals(float(np.nanmedian(np.abs(values)))) if len(values) else 2
        title = {"level": "today", "stressed": "there"}[name]
        return Column(name, title, "money", values, min(places, 4))

    names = _words(layer, {key: name for key, (name, _) in LAYERS.items()})
    columns = [
        Column("factor", "factor", "name", texts(table, "factor")[order]),
        Column("layer", "layer exhausted", "text", names[order], choose=True),
        Column("move", "move", "text", said[order]),
        Column("sigmas", "in standard deviations", "number", sigmas[order]),
        level("level"),
        level("stressed"),
    ]
    return Grid("reverse", "Moves that exhaust a layer", columns)


def reverse_map(source: StressSource) -> Map | None:
    """The map of two moves; None where there is none."""
    told = source.facts.get("reverse_map")
    if not told or not source.has("reverse_map"):
        return None
    table, order = source.tables["reverse_map"], list(LAYERS)
    line = numbers(table, "line")
    layer = np.array([order.index(one) for one in texts(table, "layer")])
    x, y = numbers(table, "x"), numbers(table, "y")
    grid = np.isnan(line)
    across, down = np.unique(x[grid]), np.unique(y[grid])
    reached = np.zeros((len(down), len(across)), dtype=np.int64)
    reached[np.searchsorted(down, y[grid]), np.searchsorted(across, x[grid])] = layer[grid]
    numbered = line[~grid].astype(np.int64)
    points, of = np.stack([x[~grid], y[~grid]], axis=1), layer[~grid]
    lines = [(int(of[numbered == n][0]), points[numbered == n]) for n in np.unique(numbered).tolist()]
    names = (str(told["x"]), str(told["y"]))
    units = tuple(unit_of(name, _additive(source, name)) for name in names)
    return Map(names, (units[0], units[1]), across, down, reached, lines, _bold(source, {at for at, _ in lines}))


def _bold(source: StressSource, drawn: set[int]) -> int:
    """The layer whose line is to stand out: the last that was asked for and is on the map, else the last on it."""
    order = list(LAYERS)
    asked = {order.index(one["layer"]) for one in source.facts.get("reverse") or []}
    return max(asked & drawn or drawn, default=-1)


def layers(source: StressSource) -> list[str]:
    """What the shades of the map stand for: where the loss ends."""
    names = [name for name, _ in LAYERS.values()]
    return [f"within {BEFORE[source.against]}", *names[1:]]


def map_words(source: StressSource, m: Map) -> str:
    """What the map shows, in words."""
    alike = "All factors of a pattern move alike, the others stay."
    if m.bold < 0:
        return f"{alike} No move on the map takes anybody beyond {BEFORE[source.against]}."
    share = float(np.mean(m.reached > m.bold))
    name = list(LAYERS.values())[m.bold][0]
    return (
        f"{alike} Beyond the thick line the layer {name} is exhausted, on {100 * share:,.0f} % of the map; the thin "
        "lines are those of the other layers."
    )


def _additive(source: StressSource, pattern: str) -> bool:
    """Whether all factors that a pattern means move by differences."""
    meant = [difference for name, difference in source.additive.items() if matches(pattern, name)]
    return bool(meant) and all(meant)


def _words(values: Text, words: dict[str, str]) -> Text:
    return np.array([words.get(value, value) for value in values], dtype=object)

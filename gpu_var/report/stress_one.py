"""One scenario of a stress test: the waterfall of its resources, who loses, and what moves."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_var.report.grid import rounded
from gpu_var.report.money import money
from gpu_var.report.stress_heat import held_members
from gpu_var.report.stress_source import F8, StressSource
from gpu_var.report.stress_words import BEFORE, LAYERS, ORIGINS, both, move, plural, unit_of

LOSERS = 12
MOVES, MOVES_IN_ALL = 80, 40_000
"""Factors of a scenario that the page holds, the named ones first; and of all scenarios, the worst first."""

ROOM = 0.8
"""Of the width of a waterfall that the loss takes; the rest is for what the last layer has left."""


@dataclass(frozen=True)
class Layer:
    """A row of the waterfall, as text and as bars."""

    name: str
    look: str
    used: str
    available: str
    left: str
    bars: list[tuple[str, str]]


@dataclass(frozen=True)
class One:
    """A scenario as the page shows it."""

    at: int
    text: str
    source: str
    fall: list[Layer]
    losers: list[tuple[str, list[str]]]
    losers_more: str
    shocks: list[tuple[str, str, str]]
    shocks_more: str


def one(source: StressSource, at: int, places: int, told: list[str], data: dict[str, Any]) -> One:
    """A scenario from what the script has of all of them."""
    heat, shocks = data["heat"], data["shocks"]
    row = shocks["rows"][at]
    return One(
        at=at,
        text=told[at],
        source=data["source"][at],
        fall=_fall(data["fall"], at, places) if data["fall"] else [],
        losers=[
            (
                heat["members"][m],
                [money(heat[key][at][m], places) for key in ("house", "client", "margin", "shortfall")],
            )
            for m in data["losers"][at]
        ],
        losers_more=losers_more(source),
        shocks=[
            (shocks["factors"][f], text, shocks["origins"][o])
            for f, text, o in zip(row[::3], row[1::3], row[2::3], strict=True)
        ],
        shocks_more=shocks["left"][at],
    )


def losers_more(source: StressSource) -> str:
    """What the table of members leaves out."""
    n = len(source.members.name)
    return f"The {LOSERS} of {n:,} members that lose most; all in members.parquet." if n > LOSERS else ""


def losers(source: StressSource) -> list[list[int]]:
    """(n_scenarios) lists of the members that lose most beyond what stands before, then most; columns of the map."""
    m, held = source.members, source.ranked[: held_members(len(source.scenario))]
    loss, shortfall = m.loss[held].T, m.shortfall[held].T
    order = np.lexsort(np.stack([-loss, -shortfall]), axis=1)[:, :LOSERS]
    there = np.take_along_axis(loss > 0.0, order, axis=1).tolist()
    return [
        [m for m, some in zip(row, keep, strict=True) if some] for row, keep in zip(order.tolist(), there, strict=True)
    ]


def fall_data(source: StressSource, places: int) -> dict[str, Any] | None:
    """The waterfalls of all scenarios for the script; None without resources."""
    w = source.waterfall
    if w is None:
        return None
    n = len(w.layer)

    def lists(values: F8) -> list[list[float | int | None]]:
        flat = rounded(values.ravel(), places)
        return [flat[at : at + n] for at in range(0, len(flat), n)]

    return {
        "layers": [LAYERS[layer][0] for layer in w.layer],
        "looks": [LAYERS[layer][1] for layer in w.layer],
        "available": lists(w.available),
        "used": lists(w.used),
    }


def _fall(data: dict[str, Any], at: int, places: int) -> list[Layer]:
    available, used = data["available"][at], data["used"][at]
    scale = max(sum(used) / ROOM, 1e-9)
    before = np.cumsum([0.0, *used[:-1]])
    return [
        Layer(
            name,
            look,
            money(pays, places),
            money(has, places),
            money(None if has is None else has - pays, places),
            bars(look, float(begin), pays, has, scale),
        )
        for name, look, pays, has, begin in zip(data["layers"], data["looks"], used, available, before, strict=True)
    ]


def bars(look: str, before: float, used: float, available: float | None, scale: float) -> list[tuple[str, str]]:
    """The bars of a layer, (class, style): what it has left, then what it pays; as the script draws them."""

    def span(begin: float, size: float) -> str:
        return ";".join(f"{key}:{min(100.0, 100.0 * x / scale):.2f}%" for key, x in (("left", begin), ("width", size)))

    out = []
    if available is not None and available > used:
        out.append(("spare", span(before + used, max(0.0, min(available - used, scale - before - used)))))
    if used > 0:
        out.append((look, span(before, used)))
    return out


def told(source: StressSource, places: int) -> list[str]:
    """(n_scenarios) a sentence each: who defaults, what is lost, and what is left."""
    w = source.waterfall
    names = source.scenario.tolist()
    before = BEFORE[source.against]
    if w is None:
        amounts = source.cover("cover_2").tolist()
        return [
            f"{both([name])}: Cover 2, the two largest losses beyond {before}, is {money(amount, places)} "
            f"{source.currency}."
            for name, amount in zip(names, amounts, strict=True)
        ]
    out = []
    for name, groups, available, used in zip(names, w.defaulters, w.available, w.used, strict=True):
        if not groups:
            out.append(f"In {both([name])} no group loses more than its {before}: nobody defaults.")
            continue
        one = len(groups) == 1
        if not used.any():
            out.append(f"If {both(groups)} default{'s' if one else ''} in {both([name])}, nothing is lost.")
            continue
        lost = f"{money(float(used.sum()), places)} {source.currency}"
        beyond = f"{money(float(used[1:].sum()), places)} of it beyond {before}"
        out.append(
            f"{both(groups)} {'defaults' if one else 'default'} in {both([name])} and {'loses' if one else 'lose'} "
            f"{lost}, {beyond}. {_end(w.layer, available, used, places, source.currency)}"
        )
    return out


def _end(layers: tuple[str, ...], available: F8, used: F8, places: int, currency: str) -> str:
    """Where the loss ends."""
    if used[-1] > 0:
        return f"The resources do not hold: {money(float(used[-1]), places)} {currency} is left uncovered."
    last = int(np.flatnonzero(used > 0)[-1])
    left = money(float(available[last] - used[last]), places)
    return f"The resources hold. Last to pay: {LAYERS[layers[last]][0]}, with {left} left."


def shock_data(source: StressSource) -> dict[str, Any]:
    """The moves of every scenario for the script, as text.

    {factors, origins, rows: [[factor, move, origin, factor, …]], left: [what is not shown]}.
    """
    s = source.shocks
    n = len(source.scenario)
    rows: list[list[Any]] = [[] for _ in range(n)]
    left = [""] * n
    room = MOVES_IN_ALL
    for at in source.order.tolist():
        begin, end = int(s.first[at]), int(s.first[at + 1])
        size = np.abs(s.shock[begin:end])
        named = np.array([origin == "named" for origin, _ in s.origins])[s.origin[begin:end]]
        order = begin + np.lexsort([-size, ~named])[: min(MOVES, room)]
        room -= len(order)
        columns = (s.of, s.shock, s.additive, s.origin)
        for f, shock, additive, origin in zip(*(column[order].tolist() for column in columns), strict=True):
            rows[at] += [f, move(shock, unit_of(s.factor[f], additive)), origin]
        hidden = end - begin - len(order)
        if hidden:
            left[at] = f"{plural(hidden, 'more factor')} in scenarios.parquet."
    origins = [f"{ORIGINS.get(origin, origin)}{f': {by}' if by else ''}" for origin, by in s.origins]
    return {"factors": s.factor, "origins": origins, "rows": rows, "left": left}

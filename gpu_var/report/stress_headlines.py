"""What a stress test says, in sentences: for the head of the page and for the terminal."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_var.report.headlines import Headline, short
from gpu_var.report.money import money
from gpu_var.report.source import numbers
from gpu_var.report.stress_break import close_out_words
from gpu_var.report.stress_source import StressSource
from gpu_var.report.stress_words import BEFORE, LAYERS, both, plural


@dataclass(frozen=True)
class Verdict:
    """Whether the resources hold, in a sentence."""

    holds: bool | None  # None: there are no resources to hold
    text: str

    @property
    def look(self) -> str:
        return {True: "holds", False: "fails", None: ""}[self.holds]


@dataclass(frozen=True)
class Size:
    """Of the default fund, base currency."""

    cover: float  # Cover N in its worst scenario
    needed: float
    there: float


def verdict(source: StressSource, places: int) -> Verdict:
    """Whether Cover N holds, where it is worst, and how much is left in which layer."""
    n, before = source.n_cover, BEFORE[source.against]
    if not len(source.scenario):
        return Verdict(None, "There are no scenarios.")
    at = int(source.order[0])
    amount = float(source.cover("cover_n")[at])
    name = both([source.scenario[at]])
    groups = source.tables["cover"]["cover_n_groups"][at].as_py()
    if amount <= 0.0:
        text = f"No group loses more than its {before} in any of the {plural(len(source.scenario), 'scenario')}."
        return Verdict(None if source.resources is None else True, text)
    lost = (
        f"Cover {n} is largest in {name}: {both(groups)} lose{'s' if len(groups) == 1 else ''} "
        f"{money(amount, places)} {source.currency} beyond {before}"
    )
    if source.resources is None:
        return Verdict(None, f"{lost}. No resources are given that would have to cover it.")
    broken = int(np.count_nonzero(source.cover("uncovered") > 0.0))
    if broken:
        left = f"{money(float(source.cover('uncovered')[at]), places)} {source.currency} uncovered"
        where = f"in {plural(broken, 'scenario')} of {len(source.scenario):,}"
        return Verdict(False, f"Cover {n} does not hold {where}. {lost}; the resources leave {left}.")
    spare = float(source.cover("resources")[at]) - amount
    called = sum(not one for one in source.tables["cover"]["holds_prefunded"].to_pylist())
    but = f", but in {called:,} of {len(source.scenario):,} only with assessments of the survivors" if called else ""
    end = f"{money(spare, places)} of the resources against it is left"
    return Verdict(True, f"Cover {n} holds in every scenario{but}. {lost}; {end}.")


def headlines(source: StressSource, places: int) -> list[Headline]:
    """The sentences that apply, what needs someone's hand first."""
    if not len(source.scenario):
        return []
    found = [
        *_failed(source),
        *_last_layer(source, places),
        *_fund(source, places),
        *_reverse(source),
        *_close_out(source, places),
        *_members(source),
        *_tail(source),
        *_notes(source),
    ]
    order = {"bad": 0, "watch": 1, "plain": 2}
    return sorted(found, key=lambda headline: order[headline.weight])


def fund_size(source: StressSource) -> Size | None:
    """How large the default fund has to be, and how large it is; None without resources."""
    if not source.has("fund"):
        return None
    table = source.tables["fund"]
    cover = float(source.cover("cover_n").max(initial=0.0))
    return Size(cover, math.fsum(numbers(table, "allocated")), math.fsum(numbers(table, "contribution")))


def _failed(source: StressSource) -> list[Headline]:
    failed = int(source.facts["counts"].get("accounts_failed", 0))
    if not failed:
        return []
    text = f"{plural(failed, 'account')} failed and {'is' if failed == 1 else 'are'} in no sum."
    return [Headline("bad", text, "notes")]


def _last_layer(source: StressSource, places: int) -> list[Headline]:
    """How far the loss of the worst scenario goes down the layers, and what is left there."""
    w = source.waterfall
    if w is None:
        return []
    at = int(source.order[0])
    used, available = w.used[at], w.available[at]
    if not w.defaulters[at] or used[-1] > 0.0 or not used.any():
        return []
    last = int(np.flatnonzero(used > 0.0)[-1])
    left, has = float(available[last] - used[last]), float(available[last])
    share = f" ({100 * left / has:,.0f}\u00a0%)" if has > 0 else ""
    who = f"{both(w.defaulters[at])} default{'s' if len(w.defaulters[at]) == 1 else ''}"
    text = (
        f"If {who} in {both([source.scenario[at]])}, the loss ends in the layer {LAYERS[w.layer[last]][0]}: "
        f"{money(left, places)} of its {money(has, places)} {source.currency}{share} is left."
    )
    weight = "watch" if w.layer[last] not in ("margin", "contribution", "own") else "plain"
    return [Headline(weight, text, "scenario-chosen")]  # type: ignore[arg-type]


def _fund(source: StressSource, places: int) -> list[Headline]:
    size = fund_size(source)
    if size is None or (size.needed <= 0.0 and size.there <= 0.0):
        return []
    needed, there = money(size.needed, places), money(size.there, places)
    text = f"The default fund would have to be {needed} {source.currency}; members have brought {there}"
    if size.needed > size.there:
        return [Headline("watch", f"{text}, {money(size.needed - size.there, places)} too little.", "fund")]
    return [Headline("plain", f"{text}.", "fund")]


def _reverse(source: StressSource) -> list[Headline]:
    """What it would take to exhaust a layer."""
    told = source.facts.get("reverse") or []
    found, holding = ([one for one in told if one["found"] is wanted] for wanted in (True, False))
    out = [
        Headline("plain", f"Reverse stress, {_layer(one)}: {one['words'].partition(': ')[2]}.", "reverse")
        for one in found
    ]
    if holding:
        names = ", ".join(map(_layer, holding))
        out.append(Headline("plain", f"Reverse stress, {names}: {holding[0]['words'].partition(': ')[2]}.", "reverse"))
    return out


def _layer(one: Mapping[str, Any]) -> str:
    return LAYERS[one["layer"]][0]


def _close_out(source: StressSource, places: int) -> list[Headline]:
    words = close_out_words(source, places)
    return [] if words is None else [Headline("plain", words, "close-out")]


def _members(source: StressSource) -> list[Headline]:
    m, before = source.members, BEFORE[source.against]
    number = int(np.count_nonzero(m.shortfall.max(axis=1, initial=0.0)))
    if not number:
        return []
    often = (m.shortfall > 0.0).sum(axis=1)
    most = int(often.argmax())
    text = (
        f"{number:,} of {plural(len(m.name), 'member')} lose{'s' if number == 1 else ''} beyond {before} in some "
        f"scenario, {short(m.name[most])} in most: {int(often[most]):,} of {len(source.scenario):,}."
    )
    return [Headline("plain", text, "members")]


def _tail(source: StressSource) -> list[Headline]:
    """Who drives the worst scenario."""
    if not source.has("concentration"):
        return []
    first = source.tables["concentration"].slice(0, 1).to_pylist()[0]
    half = plural(first["half"], "account")
    text = (
        f"In {both([first['scenario']])} half of what accounts lose beyond {BEFORE[source.against]} is lost by {half}; "
        f"the largest, {short(first['account'])} ({first['kind']} of {short(first['member'])}), has "
        f"{100 * first['share']:,.1f} %."
    )
    return [Headline("plain", text, "tail")]


def _notes(source: StressSource) -> list[Headline]:
    notes = len(source.facts["notes"])
    return (
        [Headline("plain", f"The test has {plural(notes, 'note')} on its inputs and scenarios.", "notes")]
        if notes
        else []
    )

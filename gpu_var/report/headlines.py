"""What to look at first, in sentences."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gpu_var.report import concentration, health, summary
from gpu_var.report.money import money
from gpu_var.report.movement import Movement
from gpu_var.report.source import Source, numbers, texts

LONGEST = 60

Weight = Literal["bad", "watch", "plain"]


@dataclass(frozen=True)
class Headline:
    """A sentence, how much it weighs, and the section that has more."""

    weight: Weight
    text: str
    section: str


def headlines(source: Source, moved: Movement | None, places: int) -> list[Headline]:
    """The sentences that apply, what needs someone's hand first."""
    found = [
        *([] if source.margin.num_rows else [Headline("plain", "There are no margins.", "accounts")]),
        *_failures(source),
        *_standing(source, places),
        *_change(source, moved, places),
        *_errors(source),
        *_unwinding(source),
        *_binding(source),
        *_largest(source),
        *_notes(source),
    ]
    order = {"bad": 0, "watch": 1, "plain": 2}
    return sorted(found, key=lambda headline: order[headline.weight])


def short(name: str) -> str:
    """A name in a sentence: cut where it is long, and isolated, so that no mark in it turns the sentence round."""
    return f"\u2068{name if len(name) <= LONGEST else name[: LONGEST - 1] + '…'}\u2069"


def _plural(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _failures(source: Source) -> list[Headline]:
    failed = int(np.count_nonzero(~source.ok))
    if not failed:
        return []
    text = f"{_plural(failed, 'account')} failed, and {'is' if failed == 1 else 'are'} not in the totals."
    return [Headline("bad", text, "failures")]


def _standing(source: Source, places: int) -> list[Headline]:
    if not source.has("standing"):
        return []
    standing, excess = texts(source.margin, "standing"), source.amount("excess")
    out = []
    cases: list[tuple[str, str, Weight]] = [
        ("liquidation", "less collateral than its maintenance requirement", "bad"),
        ("call", "less collateral than its requirement", "watch"),
    ]
    for word, what, weight in cases:
        rows = standing == word
        number = int(np.count_nonzero(rows))
        if number:
            theirs = what if number == 1 else what.replace("its", "their")
            lacking = money(float(-np.nansum(excess[rows])), places)
            who = f"{_plural(number, 'account')} {'has' if number == 1 else 'have'}"
            text = f"{who} {theirs}: {lacking} {source.currency} short in all."
            out.append(Headline(weight, text, "accounts"))
    return out


def _change(source: Source, moved: Movement | None, places: int) -> list[Headline]:
    if moved is None:
        return []
    total = float(np.nansum(source.amount("margin")))
    change = total - moved.total_then
    since = f"since {moved.previous.day}"
    if money(change, places).strip("-0.,") == "":
        out = [Headline("plain", f"The total margin is what it was {since}.", "change")]
    else:
        relative = f" ({100 * change / moved.total_then:+,.1f} %)" if moved.total_then > 0 else ""
        way = "risen" if change > 0 else "fallen"
        text = f"The total margin has {way} by {money(abs(change), places)} {source.currency}{relative} {since}."
        out = [Headline("watch", text, "change")]
    changed = [name for name, _, _ in moved.parameters if name != "as_of"]
    if changed:
        named = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
        out.append(Headline("watch", f"The previous run was computed otherwise: {named}.", "change"))
    moves = summary.movers(source, moved, places)
    if moves.rows:
        name, size, what = moves.top(("account", "change", "what"), 1)[0]
        way = "a new account with" if what == "new" else "a rise of" if size > 0 else "a fall of"
        text = f"The largest move of an account is {short(name)}'s, {way} {money(abs(size), places)} {source.currency}."
        out.append(Headline("plain", text, "change"))
    return out


def _errors(source: Source) -> list[Headline]:
    _, large = health.standard_errors(source)
    if not large:
        return []
    text = (
        f"The Monte Carlo measure of {_plural(large, 'account')} has a standard error above "
        f"{100 * health.LARGE_ERROR:g} % of it; more paths would narrow it."
    )
    return [Headline("watch", text, "health")]


def _unwinding(source: Source) -> list[Headline]:
    late = concentration.late_cells(source)
    if not late:
        return []
    days = numbers(source.breakdown, "days_to_unwind")
    at = int(np.nanargmax(days))
    row = source.breakdown.slice(at, 1).to_pylist()[0]
    text = (
        f"{_plural(late, 'position')} of an account in an underlying would take longer to unwind than the holding "
        f"period, the longest {days[at]:,.1f} days: {short(row['account'])} in "
        f"{short(row['underlying'])}."
    )
    return [Headline("watch", text, "concentration")]


def _binding(source: Source) -> list[Headline]:
    grid, _ = summary.scenarios(source, 0)
    if not grid.rows:
        return []
    name, accounts, _, share = (column.values[0] for column in grid.columns[:4])
    who = _plural(int(accounts), "account")
    text = f"{short(name)} is the worst scenario of {who}, with {100 * share:,.1f} % of all core."
    return [Headline("plain", text, "binding")]


def _largest(source: Source) -> list[Headline]:
    shares = concentration.shares(source)
    if not shares:
        return []
    number, share = next((s for s in shares if s[0] == 10), shares[-1])
    who = "largest account has" if number == 1 else f"{number} largest accounts have"
    return [Headline("plain", f"The {who} {100 * share:,.1f} % of the total margin.", "concentration")]


def _notes(source: Source) -> list[Headline]:
    notes = len(source.facts["notes"])
    return (
        [Headline("plain", f"The run has {_plural(notes, 'note')} on its inputs and models.", "notes")] if notes else []
    )

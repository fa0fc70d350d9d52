"""The tables of the page of a stress test."""

import numpy as np

from gpu_var.report.grid import Column, Grid
from gpu_var.report.source import numbers, texts
from gpu_var.report.stress_source import StressSource, Text
from gpu_var.report.stress_words import BEFORE, FAMILIES

PAIRS = 2000
"""Losses of a member in a scenario beyond what stands before it: the largest."""


def scenarios(source: StressSource, places: int) -> Grid:
    """Every scenario, the worst first."""
    order = source.order
    cover = source.tables["cover"]
    n = source.n_cover

    def amount(name: str, title: str, least: bool = False) -> Column:
        return Column(name, title, "money", source.cover(name)[order], places, least=least)

    def groups(name: str) -> Text:
        return np.array([_joined(row) for row in cover[name].to_pylist()], dtype=object)[order]

    told = source.told
    columns = [
        Column("scenario", "scenario", "pick", source.scenario[order]),
        Column("family", "kind", "text", _named(told.family, FAMILIES)[order], choose=True),
        amount("cover_1", "Cover 1"),
        *([] if n == 1 else [amount("cover_n", f"Cover {n}", least=True)]),
        Column("groups", "whose", "name", groups("cover_n_groups")),
    ]
    if source.resources is not None:
        columns.append(amount("uncovered", "uncovered"))
        columns.append(Column("holds", "holds", "holds", _holds(source)[order], choose=True))
    said = zip(told.source, told.spreads, told.adv, strict=True)
    sources = np.array([source + _liquidity(spreads, adv) for source, spreads, adv in said], dtype=object)
    columns.append(Column("source", "source", "text", sources[order]))
    return Grid("scenarios", "Scenarios", columns)


def members(source: StressSource, places: int) -> Grid:
    """Every member in its own worst scenario, the largest loss beyond what stands before it first."""
    m, before = source.members, BEFORE[source.against]
    worst = m.shortfall.max(axis=1, initial=0.0)
    # Where nothing is beyond it, the scenario that comes nearest.
    at = np.where(worst > 0.0, m.shortfall.argmax(axis=1), (m.loss - m.margin).argmax(axis=1))
    rows = np.arange(len(at))
    loss, margin = m.loss[rows, at], m.margin[rows, at]
    order = np.lexsort([rows, margin - loss, -worst])
    share = np.divide(loss, margin, out=np.full(len(loss), np.nan), where=margin > 0.0)
    columns = [
        Column("member", "member", "name", m.name[order]),
        Column("group", "group", "name", m.group[order], choose=bool((m.group != m.name).any())),
        Column("scenario", "worst scenario", "pick", source.scenario[at][order]),
        Column("house", "house loses", "money", m.house[rows, at][order], places),
        Column("client", "clients lose", "money", m.client[rows, at][order], places),
        Column("margin", before, "money", margin[order], places),
        Column("share", f"loss / {before}", "share", share[order]),
        Column("shortfall", f"beyond {before}", "money", worst[order], places, least=True),
        Column(
            "beyond", f"scenarios beyond {before}", "count", (m.shortfall > 0).sum(axis=1)[order].astype(np.float64)
        ),
    ]
    if source.resources is not None:
        columns.append(Column("contribution", "contribution", "money", m.contribution[order], places))
    return Grid("members", "Members", columns)


def pairs(source: StressSource, places: int) -> tuple[Grid, int]:
    """The largest losses of a member in a scenario beyond what stands before it, and how many there are."""
    m, before = source.members, BEFORE[source.against]
    flat = m.shortfall.ravel()
    there = np.flatnonzero(flat > 0.0)
    top = there[np.lexsort([there, -flat[there]])][:PAIRS]
    row, at = np.divmod(top, max(1, len(source.scenario)))
    columns = [
        Column("member", "member", "name", m.name[row], choose=True),
        Column("scenario", "scenario", "pick", source.scenario[at]),
        Column("house", "house loses", "money", m.house[row, at], places),
        Column("client", "clients lose", "money", m.client[row, at], places),
        Column("margin", before, "money", m.margin[row, at], places),
        Column("shortfall", f"beyond {before}", "money", flat[top], places, least=True),
    ]
    return Grid("pairs", f"Losses beyond {before}", columns), len(there)


def accounts(source: StressSource, places: int) -> Grid:
    """The accounts that lose most in the worst scenarios, as they are written."""
    table, before = source.tables["concentration"], BEFORE[source.against]
    columns = [
        Column("account", "account", "name", texts(table, "account")),
        Column("scenario", "scenario", "pick", texts(table, "scenario"), choose=True),
        Column("member", "member", "name", texts(table, "member"), choose=True),
        Column("kind", "kind", "text", texts(table, "kind"), choose=True),
        Column("rank", "rank", "count", numbers(table, "rank")),
        Column("loss", "loss", "money", numbers(table, "loss"), places),
        Column("over", f"beyond {before}", "money", numbers(table, "over"), places),
        Column("share", "share of all", "share", numbers(table, "share")),
        Column("cumulative", "with those before", "share", numbers(table, "cumulative")),
    ]
    return Grid("accounts", "Accounts in the tail", columns)


def fund(source: StressSource, places: int) -> Grid:
    """What each member has brought to the default fund, and what it has to bring; the largest first."""
    if not source.has("fund"):
        return Grid("fund", "Default fund", [Column("member", "member", "name", np.array([], object))])
    table = source.tables["fund"]
    order = np.lexsort([np.arange(table.num_rows), -numbers(table, "allocated")])

    def amount(name: str, title: str, kind: str = "money") -> Column:
        return Column(name, title, "change" if kind == "change" else "money", numbers(table, name)[order], places)

    columns = [
        Column("member", "member", "name", texts(table, "member")[order]),
        amount("stress_loss_over_margin", f"stress loss beyond {BEFORE[source.against]}"),
        Column("share", "share", "share", numbers(table, "share")[order]),
        amount("allocated", "has to bring"),
        amount("contribution", "has brought"),
        amount("change", "change", "change"),
    ]
    return Grid("fund", "Default fund by member", columns, sort="allocated", sum="allocated")


def _joined(names: list[str]) -> str | None:
    return " + ".join(names) if names else None


def _named(values: Text, words: dict[str, str]) -> Text:
    return np.array([words.get(value, value) for value in values], dtype=object)


def _liquidity(spreads: float, adv: float) -> str:
    """How a scenario changes spreads and daily volumes; nothing where it does not."""
    factors = (("spreads", spreads), ("volumes", adv))
    return "".join(f", {name} × {factor:g}" for name, factor in factors if factor != 1.0)


def _holds(source: StressSource) -> Text:
    """`yes`; `assessments`, where survivors are called for more than they have brought; or `no`."""
    holds, prefunded = (source.tables["cover"][name].to_pylist() for name in ("holds", "holds_prefunded"))
    return np.array(
        ["yes" if p else "assessments" if h else "no" for h, p in zip(holds, prefunded, strict=True)], dtype=object
    )

"""A stress test on the terminal."""

from collections.abc import Sequence

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gpu_var.report.money import money
from gpu_var.report.stress_headlines import verdict
from gpu_var.report.stress_one import told
from gpu_var.report.stress_page import places_of
from gpu_var.report.stress_source import StressSource
from gpu_var.report.stress_words import LAYERS
from gpu_var.report.terminal import console
from gpu_var.tables.findings import escaped

WORST = 10
_NAME = 48  # characters of a scenario's name
_GROUP = 24

_ISOLATES = str.maketrans("", "", "\u2068\u2069")


def show(source: StressSource, where: str) -> None:
    """The worst scenarios, the waterfall of the worst, the verdict, and where the outputs are."""
    out, places = console(), places_of(source)
    if len(source.scenario):
        out.print(_scenarios(source, places))
        if source.waterfall is not None and source.waterfall.defaulters[int(source.order[0])]:
            _waterfall(out, source, places)
    found = verdict(source, places)
    style = {True: "bold green", False: "bold red", None: "bold"}[found.holds]
    out.print(Text(_plain(found.text), style=style), soft_wrap=True)
    out.print(Text(f"outputs: {where}"), soft_wrap=True)


def _scenarios(source: StressSource, places: int) -> Table:
    rows = source.order[:WORST]
    of = (
        f"The {len(rows)} worst of {len(source.scenario):,} scenarios"
        if len(rows) < len(source.scenario)
        else "Scenarios"
    )
    n, cover = source.n_cover, source.tables["cover"]
    table = _table(f"{of}, in {escaped(source.currency)}")
    columns = ["scenario", ">Cover 1", f">Cover {n}", "groups"] if n != 1 else ["scenario", ">Cover 1", "group"]
    if source.resources is not None:
        columns += [">uncovered", "holds"]
    for heading in columns:
        right = heading.startswith(">")
        table.add_column(heading.removeprefix(">"), justify="right" if right else "left", no_wrap=right)
    for row in cover.take(rows).to_pylist():
        groups = " + ".join(escaped(name, _GROUP) for name in row["cover_n_groups"]) or "–"
        cells = [escaped(row["scenario"], _NAME), money(row["cover_1"], places)]
        cells += [money(row["cover_n"], places), groups] if n != 1 else [groups]
        style = ""
        if source.resources is not None:
            holds = "yes" if row["holds_prefunded"] else "assessments" if row["holds"] else "no"
            style = {"yes": "", "no": "red"}.get(holds, "yellow")
            cells += [money(row["uncovered"], places), holds]
        table.add_row(*map(Text, cells[:-1]), Text(cells[-1], style=style))
    return table


def _waterfall(out: Console, source: StressSource, places: int) -> None:
    w, at = source.waterfall, int(source.order[0])
    assert w is not None
    out.print(Text(_plain(told(source, places)[at])), soft_wrap=True)
    table = _table("")
    for heading in ("layer", "pays", "has", "is left"):
        table.add_column(heading, justify="left" if heading == "layer" else "right", no_wrap=True)
    for layer, has, pays in zip(w.layer, w.available[at].tolist(), w.used[at].tolist(), strict=True):
        known = np.isfinite(has)
        cells: Sequence[str] = (
            LAYERS[layer][0],
            money(pays, places),
            money(has if known else None, places),
            money(has - pays if known else None, places),
        )
        table.add_row(*map(Text, cells), style="red" if layer == "uncovered" and pays > 0 else "")
    out.print(table)


def _table(title: str) -> Table:
    return Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)


def _plain(text: str) -> str:
    """A sentence for a terminal: nothing in a name may steer it."""
    return escaped(text.translate(_ISOLATES), len(text))

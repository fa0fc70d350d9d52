"""`stress.html`: one page that needs no network, with no time or host in it: the same test gives the same bytes."""

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_var.report import stress_break, stress_grids, stress_map, stress_one
from gpu_var.report.grid import FIRST, Grid
from gpu_var.report.money import decimals, money
from gpu_var.report.movement import lines
from gpu_var.report.page import WHOLE
from gpu_var.report.stress_headlines import fund_size, headlines, verdict
from gpu_var.report.stress_heat import COLUMNS, RATIOS, ROWS, SHADES, compact, heat, rung
from gpu_var.report.stress_source import StressSource
from gpu_var.report.stress_words import BEFORE, FAMILIES, plural
from gpu_var.report.templates import embedded, templates, verbatim

LONGEST = 13
"""Characters of an amount that a card has room for."""

_STYLES = ("page.css", "report.css", "stress.css")
_SCRIPTS = ("page.js", "page_grid.js", "stress.js")
_SAID = {"version": "gpu-var", "backend": "backend", "device": "device", "precision": "precision"}


@dataclass(frozen=True)
class Card:
    """A number of the head."""

    name: str
    text: str
    look: str = ""


def render(source: StressSource) -> str:
    """The page as HTML."""
    environment = templates()
    environment.filters["lower_first"] = lambda text: text[:1].lower() + text[1:]
    return environment.get_template("stress.html").render(_context(source))


def _context(source: StressSource) -> dict[str, Any]:
    places = places_of(source)
    script = verbatim(*_SCRIPTS)
    n = len(source.scenario)
    grids = _grids(source, places)
    pairs, pairs_of = stress_grids.pairs(source, places) if n else (None, 0)
    if pairs is not None and pairs.rows:
        grids["pairs"] = pairs
    data: dict[str, Any] = {"grids": {key: grid.data for key, grid in grids.items()}, "heat": None}
    shown: dict[str, Any] = {}
    if n:
        mapped = heat(source, places)
        told = stress_one.told(source, places)
        data |= {
            "names": source.scenario.tolist(),
            "family": source.told.family.tolist(),
            "source": source.told.source.tolist(),
            "told": told,
            "places": places,
            "currency": source.currency,
            "heat": mapped.data,
            "fall": stress_one.fall_data(source, places),
            "losers": stress_one.losers(source),
            "shocks": stress_one.shock_data(source),
            "shades": {"shortfall": _shades(mapped.bounds), "ratio": _ratios()},
        }
        shown = {
            "heat": mapped,
            "one": stress_one.one(source, int(source.order[0]), places, told, data),
            "shades": data["shades"]["shortfall"],
        }
    present = list(dict.fromkeys(source.told.family.tolist())) if n else []
    return shown | {
        "source": source,
        "scenarios": n,
        "names": source.scenario,
        "as_of": source.as_of,
        "currency": source.currency,
        "counted": _counted(source, present),
        "cards": _cards(source, places),
        "sections": _sections(source, grids),
        "verdict": verdict(source, places),
        "headlines": headlines(source, places),
        "before": BEFORE[source.against],
        "n_cover": source.n_cover,
        "client_words": _client_words(source),
        "families": [(key, FAMILIES.get(key, key)) for key in present],
        "heat_rows": ROWS,
        "heat_columns": COLUMNS,
        "fall": source.waterfall is not None,
        "grids": grids,
        "pairs_of": pairs_of,
        "tails": [row for row in source.rows("concentration") if row["rank"] == 1],
        "size": fund_size(source),
        "close_out": stress_break.close_out(source, places),
        "reverse": stress_break.reverse(source),
        **_map(source),
        "facts": _facts(source),
        "first": FIRST,
        "money": lambda amount: money(None if amount is None or not np.isfinite(amount) else float(amount), places),
        "percent": lambda ratio: f"{100.0 * ratio:,.1f} %",
        "data": embedded(data),
        "script": script,
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "style": verbatim(*_STYLES),
    }


def places_of(source: StressSource) -> int:
    """Decimal places of all amounts: none where the largest is large."""
    largest = max((float(m.max(initial=0.0)) for m in (source.members.loss, source.members.margin)), default=0.0)
    return 0 if largest >= WHOLE else decimals(largest)


def _grids(source: StressSource, places: int) -> dict[str, Grid]:
    """The tables that have something in them, by name."""
    if not len(source.scenario):
        return {}
    made = [stress_grids.scenarios, stress_grids.members, stress_grids.accounts, stress_grids.fund]
    grids = [make(source, places) for make in (*made, stress_break.close_out_grid)]
    grids.append(stress_break.reverse_grid(source))
    return {grid.key: grid for grid in grids if grid.rows}


def _map(source: StressSource) -> dict[str, Any]:
    """The map of two moves, where there is one."""
    found = stress_break.reverse_map(source)
    if found is None:
        return {"map": None}
    names = stress_break.layers(source)
    return {
        "map": found,
        "map_picture": stress_map.picture(found),
        "map_table": stress_map.table(found),
        "map_text": stress_break.map_words(source, found),
        "map_shades": [(f"m{at}", name) for at, name in enumerate(names) if (found.reached == at).any()],
        "map_layers": names,
    }


def _counted(source: StressSource, families: list[str]) -> str:
    counts = source.facts["counts"]
    kinds = source.told.family.tolist() if families else []
    parts = [f"{kinds.count(key):,} {FAMILIES.get(key, key)}" for key in families]
    scenarios = plural(len(source.scenario), "scenario") + (f" ({', '.join(parts)})" if len(parts) > 1 else "")
    groups = plural(counts["groups"], "group")
    members = plural(counts["members"], "member") + (f" in {groups}" if counts["groups"] != counts["members"] else "")
    return f"{scenarios} · {members} · {plural(counts['accounts'], 'account')}"


def _cards(source: StressSource, places: int) -> list[Card]:
    if not len(source.scenario):
        return []
    n, at, scenarios = source.n_cover, int(source.order[0]), len(source.scenario)

    def amount(name: str, value: float, look: str = "") -> Card:
        text = money(value, places)
        return Card(f"{name}, {source.currency}", text if len(text) <= LONGEST else compact(value), look)

    cards = [amount(f"Cover {n}", float(source.cover("cover_n").max()), "first")]
    if source.resources is None:
        beyond = int(np.count_nonzero(source.cover("cover_1") > 0.0))
        return [
            *cards,
            amount("Cover 1", float(source.cover("cover_1").max())),
            Card(f"Scenarios beyond {BEFORE[source.against]}", f"{beyond:,} of {scenarios:,}"),
        ]
    uncovered = float(source.cover("uncovered").max())
    broken = int(np.count_nonzero(source.cover("uncovered") > 0.0))
    cards += [
        amount("Resources beyond margin", float(source.cover("resources")[at])),
        amount("Uncovered", uncovered, "alarm" if uncovered > 0 else ""),
        Card("Scenarios that break them", f"{broken:,} of {scenarios:,}", "alarm" if broken else ""),
    ]
    size = fund_size(source)
    if size is not None:
        cards.append(amount("Default fund needed", size.needed, "watch" if size.needed > size.there else ""))
        cards.append(amount("Default fund there", size.there))
    return cards


def _sections(source: StressSource, grids: dict[str, Grid]) -> list[tuple[str, str]]:
    wanted = [
        ("map", "Map", bool(grids)),
        ("scenario-chosen", "Waterfall" if source.waterfall is not None else "One scenario", bool(grids)),
        ("scenarios", "Scenarios", bool(grids)),
        ("members", "Members", bool(grids)),
        ("tail", "Accounts", bool(grids)),
        ("fund", "Default fund", "fund" in grids),
        ("close-out", "Close-out", bool(source.facts.get("close_out"))),
        ("reverse", "Reverse stress", bool(source.facts.get("reverse") or source.facts.get("reverse_map"))),
        ("words", "Definitions", True),
        ("notes", "Notes", True),
        ("provenance", "Provenance", True),
    ]
    return [(key, name) for key, name, there in wanted if there]


def _client_words(source: StressSource) -> str:
    """How clients' losses stand to each other and to the house's."""
    rules = source.resources or {"clients": "individual", "house_covers_clients": True}
    omnibus, covers = rules["clients"] == "omnibus", rules["house_covers_clients"]
    together = "Its clients' accounts net with each other" if omnibus else "Each client's account stands alone"
    left = "covers its clients' losses" if covers else "does not cover its clients' losses"
    return f"{together}, and what its house accounts have left {left}."


def _shades(bounds: list[float]) -> list[tuple[str, str]]:
    """What the shades of an amount stand for."""
    looks = range(SHADES - len(bounds), SHADES + 1)
    ends = [f"below {rung(bounds[0])}" if bounds else "some"] + [f"from {rung(bound)}" for bound in bounds]
    return [("h0", "nothing"), *((f"h{look}", text) for look, text in zip(looks, ends, strict=True))]


def _ratios() -> list[tuple[str, str]]:
    """What the shades of loss over margin stand for."""
    looks = ("g1", "g2", "g3", "g4", "h3", "h5", "h6")
    ends = [f"up to {100 * ratio:.0f} %" for ratio in RATIOS] + [f"beyond {100 * RATIOS[-1]:.0f} %"]
    return [("h0", "no loss"), *zip(looks, ends, strict=True)]


def _facts(source: StressSource) -> list[tuple[str, str]]:
    facts = [(name, str(source.facts[key])) for key, name in _SAID.items()]
    facts += [(name, version) for name, version in source.facts["versions"].items()]
    facts += [(name.replace("_", " "), f"{number:,}") for name, number in source.facts["counts"].items()]
    rules = {key: value for key, value in source.rules.items() if key != "scenario"}
    return facts + lines({"stress": rules}) + lines(source.config)

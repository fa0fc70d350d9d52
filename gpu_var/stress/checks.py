"""What the rules of a stress test ask of its book, and what is wrong with them."""

from collections.abc import Sequence

from gpu_var.market.factors import Factors
from gpu_var.market.patterns import matches, nearest_name
from gpu_var.stress.house import house_of
from gpu_var.stress.reverse_map import map_faults
from gpu_var.stress.wind_down import TODAY
from gpu_var.tables.book import Book
from gpu_var.tables.config_stress_test import StressFile
from gpu_var.tables.files import SCENARIOS
from gpu_var.tables.findings import Findings, shown


def check_rules(
    book: Book,
    file: StressFile,
    findings: Findings,
    name: str = SCENARIOS,
    *,
    factors: Factors | None = None,
    scenarios: Sequence[str] | None = None,
) -> None:
    """Findings for what [resources], [close_out] and [reverse] name and the book, or the test, does not have.

    Args:
        name: of the file, for the findings.
        factors: of the run; patterns of factors are not checked without.
        scenarios: their names; that of [close_out] is not checked without.
    """

    def wrong(key: str, text: str) -> None:
        findings.error(name, text, place=f"{name}, key {key}")

    house = house_of(book)
    known = (*house.group_name, *house.name)

    def check_members(key: str, names: Sequence[str]) -> None:
        for one in names:
            if one not in known:
                near = nearest_name(one, known)
                hint = f"; the nearest is {shown(near)}" if near else ""
                wrong(key, f"{shown(one)} is no member and no group{hint}; expected members or groups of the book")

    rules, close_out, reverse = file.resources, file.close_out, file.reverse
    if rules is not None:
        if rules.against != "margin" and "collateral" not in book.files:
            text = f"{shown(rules.against)} needs the table collateral, which the book does not have; expected 'margin'"
            wrong("resources.against", text)
        check_members("resources.defaulters", rules.defaulters)
    if close_out is not None:
        check_members("close_out.members", close_out.members)
        chosen = close_out.scenario
        if scenarios is not None and chosen not in (None, TODAY, *scenarios):
            near = nearest_name(str(chosen), [*scenarios, TODAY])
            text = f"{shown(chosen)} is no scenario of the test; the nearest is {shown(near)}"
            wrong("close_out.scenario", f"{text}; expected one of them, or {shown(TODAY)}")
    if reverse is not None:
        needing = [layer for layer in reverse.layer if layer != "margin"]
        if needing and rules is None:
            text = f"{shown(needing[0])} is a layer of the resources; expected the table [resources], or 'margin'"
            wrong("reverse.layer", text)
        names = () if factors is None else factors.names
        for key, patterns in (("reverse.factors", reverse.factors), ("reverse.map", reverse.map)):
            for pattern in patterns:
                if names and not any(matches(pattern, one) for one in names):
                    near = nearest_name(pattern, names)
                    text = f"{shown(pattern)} is no factor of the run; the nearest is {shown(near)}"
                    wrong(key, f"{text}; expected a factor, or a pattern")
        if factors is not None and reverse.map:
            for key, text in map_faults(reverse, factors):
                wrong(key, text)

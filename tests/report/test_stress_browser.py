"""`stress.html` in a browser, as it is read and used."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from report.stress_houses import stressed
from report.test_stress_page import EVIL

from gpu_var.report import stress_page
from gpu_var.report.money import money

CELLS = """(id) => [...document.querySelectorAll(`#${id} tbody tr`)].map(
  (row) => [...row.cells].map((c) => [c.localName, c.className, c.textContent]))"""
SIZES = {"wide": {"width": 1280, "height": 900}, "phone": {"width": 420, "height": 900}}


@pytest.fixture(scope="module")
def source():
    return stressed(members=14, scenarios=60, accounts=120)


@pytest.fixture(scope="module")
def text(source):
    return stress_page.render(source)


@pytest.fixture(scope="module")
def nasty():
    return stress_page.render(
        stressed(
            members=len(EVIL),
            scenarios=len(EVIL) + 1,
            accounts=40,
            names=EVIL,
            scenario_names=[*(f"{one}/{i}" for i, one in enumerate(EVIL)), "x" * 400],
            account_names=[f"{EVIL[i % len(EVIL)]}#{i}" for i in range(40)],
            seed=3,
        )
    )


def rows(page, table):
    """The texts of a table's cells, row by row."""
    return [[text for _, _, text in row] for row in page.evaluate(CELLS, table)]


def worst(source):
    return str(source.scenario[source.order[0]])


WIDTHS = """[...document.querySelectorAll('#fall .track span')].map(
  (bar) => [bar.className, bar.getBoundingClientRect().x, bar.getBoundingClientRect().width])"""


def test_the_script_draws_what_the_page_was_written_with(opened, text):
    bare, shown = opened(text, java_script_enabled=False), opened(text)
    for control in ("heat-what", "scenario"):
        first = shown.locator(f"#{control}").input_value()
        shown.locator(f"#{control}").select_option(index=1)
        shown.locator(f"#{control}").select_option(first)
    for table in ("heat", "losers", "shocks", "fall"):
        written = bare.evaluate(CELLS, table)
        assert shown.evaluate(CELLS, table) == written
        assert len(written) > 3
    assert shown.locator("#one-text").inner_text() == bare.locator("#one-text").inner_text()
    drawn = shown.evaluate(WIDTHS)
    assert [bar[0] for bar in drawn] == [bar[0] for bar in bare.evaluate(WIDTHS)]
    assert min(bar[2] for bar in drawn) > 0


def test_a_scenario_that_is_chosen_is_shown(opened, text, source):
    shown = opened(text)
    at = int(source.order[7])
    name = str(source.scenario[at])
    shown.locator("#scenario").select_option(label=name)
    w = source.waterfall
    for line, has, pays in zip(rows(shown, "fall"), w.available[at], w.used[at], strict=True):
        left = None if np.isnan(has) else has - pays
        assert line[2:] == [money(float(pays), 0), money(None if np.isnan(has) else float(has), 0), money(left, 0)]
    assert f"\u2068{name}\u2069" in shown.locator("#one-text").inner_text()
    assert shown.locator("#one-source").inner_text() == f"where {name} comes from"
    m = source.members
    by_name = {member: row for row, member in enumerate(m.name)}
    losers = rows(shown, "losers")
    for member, house, client, margin, beyond in losers:
        row = by_name[member]
        amounts = (m.house, m.client, m.margin, m.shortfall)
        assert [house, client, margin, beyond] == [money(float(of[row, at]), 0) for of in amounts]
    beyond = [float(line[4].replace(",", "")) for line in losers]
    assert beyond == sorted(beyond, reverse=True)
    moved = [row for row in source.tables["scenarios"].to_pylist() if row["scenario"] == name]
    assert {line[0] for line in rows(shown, "shocks")} == {r["factor"] for r in moved if r["origin"] != "unmoved"}


@pytest.mark.parametrize("place", ["#heat", "[data-grid=scenarios]", "[data-grid=members]", "[data-grid=accounts]"])
def test_a_click_on_a_name_takes_a_scenario_to_the_waterfall(opened, text, place):
    shown = opened(text)
    buttons = shown.locator(f"{place} .pick")
    button = buttons.nth(min(4, buttons.count() - 1))
    name = button.inner_text()
    button.click()
    assert shown.locator("#scenario option:checked").inner_text() == name
    assert f"\u2068{name}\u2069" in shown.locator("#one-text").inner_text()
    assert shown.evaluate("document.activeElement.id") == "scenario"
    current = shown.locator("#heat .pick[aria-current]").all_inner_texts()
    assert current in ([name], [])


def test_the_map_can_be_narrowed(opened, text, source):
    shown = opened(text)
    assert shown.locator("#heat-found").inner_text() == "30 of 60 scenarios"
    assert len(shown.locator("#heat thead th").all()) == 12  # scenario, ten members, the others
    assert shown.locator("#heat thead th").last.inner_text() == "4 others"
    shown.locator("#heat-family").select_option("frb")
    names = [line[0] for line in rows(shown, "heat")]
    assert len(names) == 20
    assert all(name.startswith("frb:") for name in names)
    shown.locator("#heat-family").select_option("")
    shown.locator("#heat-rows").select_option("100")
    assert len(rows(shown, "heat")) == 60
    shown.locator("#heat-columns").select_option("0")
    assert len(shown.locator("#heat thead th").all()) == 15
    shown.locator("#heat-what").select_option("ratio")
    m = source.members
    by_name = {member: row for row, member in enumerate(m.name)}
    heads = shown.locator("#heat thead th").all_inner_texts()[1:]
    by_scenario = {name: at for at, name in enumerate(source.scenario)}
    for name, *cells in rows(shown, "heat")[::7]:
        at = by_scenario[name]
        for member, cell in zip(heads, cells, strict=True):
            share = m.loss[by_name[member], at] / m.margin[by_name[member], at]
            assert cell == ("0" if share <= 0 else f"{100 * share:,.0f} %") or abs(100 * share % 1 - 0.5) < 1e-3
    assert shown.locator("#shades li").first.inner_text() == "no loss"


def test_the_keyboard_is_enough(opened, text):
    shown = opened(text)
    shown.keyboard.press("Tab")
    shown.keyboard.press("Enter")
    assert shown.evaluate("document.activeElement.id") == "main"
    shown.locator("#heat .pick").nth(2).focus()
    name = shown.locator("#heat .pick").nth(2).inner_text()
    assert shown.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    shown.keyboard.press("Enter")
    assert shown.locator("#scenario option:checked").inner_text() == name
    shown.keyboard.press("ArrowDown")
    after = shown.locator("#scenario option:checked").inner_text()
    assert after != name
    assert f"\u2068{after}\u2069" in shown.locator("#one-text").inner_text()
    shown.locator(".map ~ figcaption summary").focus()
    shown.keyboard.press("Enter")
    assert shown.locator("details table").first.is_visible()


def test_the_sections_are_linked(opened, text):
    shown = opened(text)
    links = [*shown.locator("nav a").all(), *shown.locator(".headlines a").all()]
    assert len(shown.locator("nav a").all()) == 11
    for link in links:
        assert shown.locator(link.get_attribute("href")).count() == 1


@pytest.mark.parametrize(("size", "scheme"), [("wide", "light"), ("wide", "dark"), ("phone", "light")])
@pytest.mark.parametrize("what", ["shortfall", "ratio"])
def test_it_is_accessible(opened, text, size, scheme, what):
    shown = opened(text, color_scheme=scheme, viewport=SIZES[size])
    shown.locator("#heat-what").select_option(what)
    shown.locator("details summary").first.click()
    result = Axe().run(shown).response
    assert [(v["id"], [node["html"] for node in v["nodes"]]) for v in result["violations"]] == []
    assert len(result["passes"]) > 40


@pytest.mark.parametrize("size", SIZES)
def test_nothing_sticks_out(opened, text, nasty, size, tmp_path):
    for name, page in (("stress", text), ("nasty", nasty)):
        shown = opened(page, viewport=SIZES[size])
        assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
        picture = tmp_path / f"{name}-{size}.png"
        shown.screenshot(path=picture, full_page=True)
        kept = os.environ.get("REPORT_ARTEFACTS")
        if kept:
            Path(kept).mkdir(parents=True, exist_ok=True)
            shutil.copy(picture, kept)


def test_names_are_text_and_nothing_else(opened, nasty):
    shown = opened(nasty)
    options = shown.evaluate("[...document.querySelectorAll('#scenario option')].map((option) => option.textContent)")
    assert {f"{one}/{i}" for i, one in enumerate(EVIL)} < set(options)
    for option in options:
        shown.locator("#scenario").select_option(index=options.index(option))
        assert option[:59] in shown.evaluate("document.getElementById('one-text').textContent")
    assert {line[0] for line in rows(shown, "losers")} <= set(EVIL)
    assert set(shown.evaluate("[...document.querySelectorAll('#heat thead bdi')].map((b) => b.textContent)")) == set(
        EVIL
    )
    assert shown.locator("img, main b, main i").count() == 0
    assert shown.evaluate("document.scripts.length") == 2


def test_it_prints(opened, text, tmp_path):
    shown = opened(text, color_scheme="dark", viewport={"width": 1030, "height": 720})
    shown.emulate_media(media="print")
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for hidden in ("nav", ".skip", ".controls", "details"):
        assert not shown.locator(hidden).first.is_visible()
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert shown.locator("#fall").is_visible()
    shown.pdf(path=tmp_path / "stress.pdf", prefer_css_page_size=True)
    assert (tmp_path / "stress.pdf").read_bytes().startswith(b"%PDF")


def test_a_large_house_opens_and_can_be_used(opened):
    source = stressed(members=50, scenarios=1000, accounts=2_000, factors=20)
    shown = opened(stress_page.render(source))
    assert shown.locator("#scenario option").count() == 1000
    shown.locator("#heat-columns").select_option("0")
    shown.locator("#heat-rows").select_option("300")
    assert len(rows(shown, "heat")) == 300
    assert shown.locator("#heat-found").inner_text() == "300 of 1,000 scenarios"
    assert shown.locator("#scenario option:checked").inner_text() == worst(source)

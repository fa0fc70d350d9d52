"""`report.html` in a browser, as it is read and used."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from report.conftest import NASTY
from report.houses import house, renamed

from gpu_var.report import page

ACCOUNTS = "[data-grid=accounts]"
SIZES = {"wide": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def large():
    """A house of 10,000 accounts, and the day before it."""
    return house(10_000, seed=1, failed=7), house(10_000, seed=2, first=20, level=0.98)


@pytest.fixture(scope="module")
def text(large):
    return page.render_source(*large)


@pytest.fixture(scope="module")
def small():
    return page.render_source(house(60, seed=3, failed=2), house(60, seed=4, first=3))


def column(page, name, grid=ACCOUNTS):
    """The texts of a column of the rows that are shown."""
    headings = page.locator(f"{grid} thead th").all_text_contents()
    at = [re.sub(r"\s+", " ", heading).strip() for heading in headings].index(name)
    return page.locator(f"{grid} tbody tr > :nth-child({at + 1})").all_text_contents()


def found(page, grid=ACCOUNTS):
    return page.locator(f"{grid} .found").inner_text()


def number(text):
    return float(text.replace(",", ""))


def test_ten_thousand_accounts_stay_under_five_megabytes(text):
    assert len(text.encode()) < 5_000_000


def test_every_account_can_be_reached(opened):
    now = house(1200, seed=8)
    shown = opened(page.render_source(now))
    now = now.margin
    ranked = now.sort_by([("margin", "descending"), ("account", "ascending")])
    names = ranked["account"].to_pylist()
    assert column(shown, "account") == names[:25]
    shown.locator(f"{ACCOUNTS} .size").select_option("500")
    seen = []
    for _ in range(3):
        seen += column(shown, "account")
        after = shown.locator(f"{ACCOUNTS} .after")
        if after.is_enabled():
            after.click()
    assert seen == names
    assert shown.locator(f"{ACCOUNTS} .after").is_disabled()
    assert shown.locator(f"{ACCOUNTS} .where").inner_text() == "page 3 of 3"
    total = np.nansum(now["margin"].to_numpy())
    assert found(shown) == f"1,200 of 1,200 shown, margin {total:,.0f} in all"


def test_the_columns_sort(opened, small):
    shown = opened(small)
    heading = shown.locator(f"{ACCOUNTS} thead th").filter(has_text="liquidity")
    assert shown.locator(f"{ACCOUNTS} [aria-sort]").inner_text().strip() == "margin"
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    values = [number(v) for v in column(shown, "liquidity")]
    assert values == sorted(values, reverse=True)
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert shown.locator(f"{ACCOUNTS} [aria-sort]").count() == 1
    values = [number(v) for v in column(shown, "liquidity")]
    assert values == sorted(values)
    shown.locator(f"{ACCOUNTS} .size").select_option("100")
    assert column(shown, "liquidity")[-2:] == ["–", "–"]  # what failed stands last either way
    shown.locator(f"{ACCOUNTS} thead th").filter(has_text="account").locator("button").click()
    assert column(shown, "account") == [f"account-{i:06d}" for i in range(60)]


def test_the_filters_narrow(opened, text, large):
    shown = opened(text)
    now = large[0].margin
    shown.locator(f"{ACCOUNTS} .find").fill("ACCOUNT-00123")
    assert set(column(shown, "account")) == {f"account-00123{i}" for i in range(10)}
    assert found(shown).startswith("10 of 10,000 shown, margin ")
    shown.locator(f"{ACCOUNTS} .clear").click()
    assert found(shown).startswith("10,000 of 10,000 shown")
    shown.locator(f"{ACCOUNTS} [data-least=margin]").fill("1000000")
    margin = np.round(now["margin"].to_numpy())
    assert found(shown).startswith(f"{np.count_nonzero(margin >= 1e6):,} of 10,000 shown")
    shown.locator(f"{ACCOUNTS} [data-choose=standing]").select_option("liquidation")
    standing = np.array(now["standing"].to_pylist(), dtype=object)
    wanted = (margin >= 1e6) & (standing == "liquidation")
    assert found(shown).startswith(f"{np.count_nonzero(wanted):,} of 10,000 shown")
    assert set(column(shown, "standing")) == {"liquidation"}
    shown.locator(f"{ACCOUNTS} .clear").click()
    shown.locator(f"{ACCOUNTS} [data-choose=status]").select_option("failed")
    assert found(shown) == "7 of 10,000 shown, margin 0 in all"
    assert set(column(shown, "status")) == {"failed: profit and loss on X is not finite"}
    shown.locator(f"{ACCOUNTS} .find").fill("no such account")
    assert found(shown).startswith("0 of 10,000 shown")
    assert shown.locator(f"{ACCOUNTS} tbody tr").count() == 0


def test_the_script_shows_rows_as_the_page_was_written(opened, small):
    """The first rows are written by Python and then drawn again by the script: not a character may differ."""
    bare = opened(small, java_script_enabled=False)
    written = {g: bare.locator(f"[data-grid={g}] tbody").inner_html() for g in ("accounts", "movers", "slowest")}
    shown = opened(small)
    for grid, html in written.items():
        drawn = shown.locator(f"[data-grid={grid}] tbody").inner_html()
        assert drawn == html.replace("\n", "")


def test_without_scripts_the_first_rows_and_bars_are_there(opened, small):
    shown = opened(small, java_script_enabled=False)
    assert len(column(shown, "account")) == 25
    assert not shown.locator(f"{ACCOUNTS} .find").is_visible()
    assert shown.locator("noscript").count() > 0
    assert shown.locator("#composition table.bars tr").count() == 21


def test_the_keyboard_is_enough(opened, small):
    shown = opened(small)
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.textContent") == "Skip to the report"
    assert shown.locator(".skip").bounding_box()["x"] >= 0
    shown.keyboard.press("Enter")
    assert shown.evaluate("document.activeElement.id") == "main"
    shown.locator(f"{ACCOUNTS} .find").focus()
    shown.keyboard.type("account-00000")
    assert len(column(shown, "account")) == 10
    for _ in range(20):
        shown.keyboard.press("Tab")
        if shown.evaluate("document.activeElement.textContent") == "core":
            break
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert shown.evaluate(outline) == "solid"
    shown.keyboard.press("Enter")
    assert shown.locator(f"{ACCOUNTS} [aria-sort=descending]").inner_text().strip() == "core"
    shown.keyboard.press("Space")
    assert shown.locator(f"{ACCOUNTS} [aria-sort=ascending]").inner_text().strip() == "core"
    shown.locator("#account").focus()
    before = shown.locator("#losses-text-0").inner_text()
    shown.keyboard.press("ArrowDown")
    assert shown.locator("#losses-text-0").inner_text() != before


def test_the_histograms_show_the_account_that_is_chosen(opened, small):
    shown = opened(small)
    names = shown.locator("#account option").all_inner_texts()
    shown.locator("#account").select_option(names[2])
    for at, scenarios in enumerate(("500", "10,000")):
        assert (
            shown.locator(f"#losses-text-{at}")
            .inner_text()
            .startswith(f"\u2068{names[2]}\u2069, {scenarios} scenarios: ")
        )
        assert shown.locator(f"#losses-{at} rect").count() == 60
        shown.locator(f"#losses-bins-{at} summary").click()
        counts = shown.locator(f"#losses-bins-{at} tbody td:nth-child(3)").all_inner_texts()
        assert sum(number(count) for count in counts) == number(scenarios)
    failed = [name for name in names if name in {"account-000058", "account-000059"}]
    shown.locator("#account").select_option(failed[0])
    assert shown.locator("#losses-text-0").inner_text() == f"\u2068{failed[0]}\u2069 failed: it has no losses to show."
    assert shown.locator("#losses-0 rect").count() == 0


def test_the_sections_are_linked(opened, text):
    shown = opened(text)
    links = shown.locator("nav a").all()
    assert len(links) == 12
    for link in links:
        assert shown.locator(link.get_attribute("href")).count() == 1
    more = shown.locator(".headlines a").all()
    assert more
    for link in more:
        assert shown.locator(link.get_attribute("href")).count() == 1


@pytest.mark.parametrize(("size", "scheme"), [("wide", "light"), ("wide", "dark"), ("phone", "light")])
def test_it_is_accessible(opened, small, size, scheme):
    shown = opened(small, color_scheme=scheme, viewport=SIZES[size])
    result = Axe().run(shown).response
    assert [(v["id"], [node["html"] for node in v["nodes"]]) for v in result["violations"]] == []
    assert len(result["passes"]) > 40


@pytest.mark.parametrize("size", SIZES)
def test_nothing_sticks_out(opened, text, size, tmp_path):
    shown = opened(text, viewport=SIZES[size])
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    picture = tmp_path / f"report-{size}.png"
    shown.screenshot(path=picture, full_page=True)
    assert picture.stat().st_size > 50_000
    kept = os.environ.get("REPORT_ARTEFACTS")
    if kept:
        Path(kept).mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, kept)


def test_it_prints(opened, text, tmp_path):
    shown = opened(text, color_scheme="dark", viewport={"width": 1030, "height": 720})
    shown.emulate_media(media="print")
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for hidden in ("nav", ".skip", f"{ACCOUNTS} .controls", f"{ACCOUNTS} .before", "details"):
        assert not shown.locator(hidden).first.is_visible()
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert len(column(shown, "account")) == 25
    shown.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_names_are_text_and_nothing_else(opened):
    now = renamed(house(6, seed=5), NASTY)
    before = renamed(house(6, seed=6), NASTY)
    shown = opened(page.render_source(now, before))
    names = shown.evaluate(f"[...document.querySelectorAll('{ACCOUNTS} tbody th')].map((cell) => cell.textContent)")
    assert sorted(names) == sorted(NASTY)
    options = shown.evaluate("[...document.querySelectorAll('#account option')].map((option) => option.textContent)")
    assert sorted(options) == sorted(NASTY)
    for name in NASTY:
        shown.locator("#account").select_option(value=name)
        assert shown.evaluate("document.getElementById('losses-text-0').textContent").startswith(
            f"\u2068{name}\u2069, "
        )
    assert shown.locator("img").count() == 0
    for size in SIZES.values():
        shown.set_viewport_size(size)
        assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert shown.evaluate("document.scripts.length") == 2


def test_a_script_that_slips_in_does_not_run(opened):
    """The policy of the page names the hash of its own script: another one is refused, wherever it comes from."""
    text = page.render_source(house(3, seed=7)).replace("</main>", "<script>document.title = 'owned'</script></main>")
    shown = opened(text)
    assert shown.title().startswith("Margin report")
    assert [said for said in opened.said if "Content Security Policy" in said] == opened.said != []
    opened.said.clear()

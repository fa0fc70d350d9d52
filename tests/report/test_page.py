"""`report.html`: whole, still, and deaf to what identifiers say."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pyarrow as pa
import pytest
from report.conftest import NASTY
from report.houses import house, renamed

from gpu_var.report import page, summary
from gpu_var.report.scan_parts import scan_parts


class Page(HTMLParser):
    """Its elements, and the text of each script, cell, heading of a row, option and item."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.texts = {"script": [], "th": [], "td": [], "option": [], "li": [], "style": []}
        self.inside = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in self.texts:
            self.texts[tag].append("")
            self.inside.append(tag)

    def handle_endtag(self, tag):
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data):
        if self.inside:
            self.texts[self.inside[-1]][-1] += data


@pytest.fixture(scope="module")
def nasty(ended):
    named = renamed(ended, NASTY)
    return replace(named, facts=named.facts | {"notes": [f"a note on {name}" for name in NASTY]})


@pytest.fixture(scope="module")
def text(nasty):
    return page.render_source(nasty)


@pytest.fixture(scope="module")
def parsed(text):
    return Page(text)


def test_names_come_through_unchanged_and_harmless(parsed, text):
    assert len(parsed.texts["script"]) == 2
    assert not [tag for tag, _ in parsed.elements if tag == "img"]
    assert sorted(parsed.texts["option"][: len(NASTY)]) == sorted(NASTY)
    assert set(NASTY) <= set(parsed.texts["th"])
    assert {f"a note on {name}" for name in NASTY} <= set(parsed.texts["li"])
    data = json.loads(parsed.texts["script"][0])
    assert sorted(data["losses"]["accounts"]) == sorted(NASTY)
    assert sorted(data["grids"]["accounts"]["columns"][0]["values"]) == sorted(NASTY)
    assert "alert(1)</script>" not in text
    assert "<img" not in text


def test_names_of_everything_else_are_escaped_too():
    source = house(3, seed=1, failed=1)
    evil = "<b>x</b>"
    margin = source.margin.to_pylist()
    for row in margin:
        row |= {"worst_scenario": row["worst_scenario"] and f"stress:{evil}", "currency": evil}
        row["status"] = row["status"].replace("X", evil)
    cells = [row | {"underlying": evil, "currency": evil} for row in source.breakdown.to_pylist()]
    told = [row | {"member": evil} for row in source.diagnostics.to_pylist()]
    facts = source.facts | {"inputs": {f"{evil}.csv": evil}, "device": evil, "notes": [evil]}
    facts["config"] = facts["config"] | {"base_currency": evil, "allow_unshocked": [evil]}
    table = type(source.margin).from_pylist
    other = replace(
        source,
        margin=table(margin, source.margin.schema),
        breakdown=table(cells, source.breakdown.schema),
        diagnostics=table(told, source.diagnostics.schema),
        facts=facts,
    )
    text = page.render_source(other, other)
    assert text.count("&lt;b&gt;x&lt;/b&gt;") > 20
    assert "<b>" not in text


def test_it_asks_no_other_host_for_anything(parsed, text):
    for tag, attributes in parsed.elements:
        assert tag not in {"iframe", "object", "embed", "base", "form", "img", "a"} or (
            tag == "a" and attributes["href"].startswith("#")
        )
        assert attributes.get("href", "data:,") == "data:," or attributes["href"].startswith("#")
        assert "src" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
    policy = next(a["content"] for t, a in parsed.elements if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    assert set(re.findall(r"https?://[^\s\"'<>]+|@import|url\(", text)) == {"http://www.w3.org/2000/svg"}


def test_the_policy_names_the_script_that_is_there(parsed):
    policy = next(a["content"] for t, a in parsed.elements if t == "meta" and "http-equiv" in a)
    digest = base64.b64encode(hashlib.sha256(parsed.texts["script"][1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy


def test_the_same_run_gives_the_same_page(run):
    later = replace(run, started=datetime(2030, 1, 1, tzinfo=UTC), threads=17, timings={"revalue": 9.0})
    assert page.render(later) == page.render(run)


def test_every_control_and_every_table_has_a_name(parsed):
    regions = [a for _, a in parsed.elements if a.get("role") == "region"]
    assert regions
    assert all(a["aria-label"] and a["tabindex"] == "0" for a in regions)
    assert len({a["aria-label"] for a in regions}) == len(regions)
    tables = [tag for tag, _ in parsed.elements if tag == "table"]
    assert len(tables) == sum(tag == "caption" for tag, _ in parsed.elements)
    plots = [a for tag, a in parsed.elements if a.get("role") == "img"]
    assert len(plots) == 2
    assert all(a["aria-label"] and a["aria-describedby"] for a in plots)
    assert [tag for tag, _ in parsed.elements if tag == "h1"] == ["h1"]
    named = [a["id"] for _, a in parsed.elements if "id" in a]
    assert len(named) == len(set(named))
    assert {a["aria-labelledby"] for _, a in parsed.elements if "aria-labelledby" in a} <= set(named)


def test_what_is_computed_is_told(run):
    text = page.render(run)
    for wanted in (
        "2026-01-05 00:00:00 UTC",
        "Filtered historical simulation, Monte Carlo, expected shortfall at 99 % · holding period 1 day",
        "monte_carlo.seed",
        "Filtered historical",
        "Standard error of the Monte Carlo expected shortfall",
        "accounts without positions: 1",
    ):
        assert wanted in text
    for digest in run.inputs.values():
        assert digest in text


def test_without_monte_carlo_there_is_one_histogram(ended):
    left = [name for name in ended.diagnostics.column_names if not name.startswith("mc_")]
    other = replace(ended, diagnostics=ended.diagnostics.select(left))
    parsed = Page(page.render_source(other))
    found = [a["id"] for _, a in parsed.elements if a.get("id", "").startswith("losses-text")]
    assert found == ["losses-text-0"]


def test_a_long_table_is_cut_but_for_what_failed_and_says_so(monkeypatch):
    source = house(30, seed=1, failed=2)
    monkeypatch.setattr(summary, "ROWS", 5)
    grid = summary.accounts(source, None, 0)
    assert grid.rows == 7
    assert set(grid.columns[0].values[5:]) == {"account-000028", "account-000029"}
    assert "The 7 largest margins of 30; all stand in <code>margin.parquet</code>" in page.render_source(source)


def test_an_empty_house():
    text = page.render_source(house(0))
    assert "There are no margins." in text
    assert "No account holds a position." in text


def test_a_house_where_everything_failed():
    text = page.render_source(house(4, failed=4))
    assert "4 accounts failed, and are not in the totals." in text
    assert "profit and loss on X is not finite" in text


def test_embedded_json_cannot_leave_its_script():
    tree = {"a": "</script><!-- & \u2028", "b": [1.5, None]}
    text = str(page.embedded(tree))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == tree


def test_a_scan_is_taken_apart():
    source = house(2)
    scan = pa.table(
        {
            "account": ["a", "a", "b"],
            "underlying": ["X", "Y", "X"],
            "scan_risk": [10.0, 5.0, None],
            "composite_delta": [1.0, 2.0, 3.0],
            "inter_month": [0.0, 0.0, 0.0],
            "risk": [12.0, 5.0, 1.0],
        }
    )
    grid = scan_parts(replace(source, scan=scan), 0)
    assert {column.key: column.values.tolist() for column in grid.columns} == {
        "underlying": ["X", "Y"],
        "scan_risk": [10.0, 5.0],
        "risk": [13.0, 5.0],
    }
    assert "What the scan is made of" in page.render_source(replace(source, scan=scan))
    assert "What the scan is made of" not in page.render_source(source)

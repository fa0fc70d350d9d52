"""`report.html`: whole, still, and deaf to what identifiers say."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from plotly.offline import get_plotlyjs

from gpu_var.report import page


class Page(HTMLParser):
    """Its elements, and the text of each script, cell and option."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.texts = {"script": [], "td": [], "option": [], "li": []}
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


NASTY = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "<!--<script>",
    "'\"&amp;{{ 7 * 7 }}${7 * 7}`",
    "\u2028\u202eabc",
    "x" * 1000,
]


@pytest.fixture(scope="module")
def nasty(run):
    names = run.margin["account"].to_pylist()
    renamed = run.margin.set_column(0, "account", [NASTY[: len(names)]])
    return replace(run, margin=renamed, notes=[f"a note on {name}" for name in NASTY])


@pytest.fixture(scope="module")
def text(nasty):
    return page.render(nasty)


@pytest.fixture(scope="module")
def parsed(text):
    return Page(text)


def test_names_come_through_unchanged_and_harmless(parsed, text):
    assert len(parsed.texts["script"]) == 3
    assert not [tag for tag, _ in parsed.elements if tag == "img"]
    assert sorted(parsed.texts["option"]) == sorted(NASTY)
    assert set(NASTY) <= set(parsed.texts["td"])
    assert parsed.texts["li"] == [f"a note on {name}" for name in NASTY]
    data = json.loads(parsed.texts["script"][0])
    assert sorted(data["losses"]["accounts"]) == sorted(NASTY)
    assert "alert(1)</script>" not in text


def test_it_asks_no_other_host_for_anything(parsed, text):
    for tag, attributes in parsed.elements:
        assert tag not in {"iframe", "object", "embed", "base", "form"}
        assert attributes.get("href", "data:,") == "data:,"
        assert "src" not in attributes
    policy = next(a["content"] for t, a in parsed.elements if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    own = text.replace(get_plotlyjs(), "")
    assert not re.findall(r"https?://|@import|url\(", own)


def test_plotly_is_embedded_once(text):
    assert text.count("plotly.js v") == get_plotlyjs().count("plotly.js v")
    assert len(text.encode()) < 6_000_000


def test_the_same_run_gives_the_same_page(nasty, text):
    later = replace(nasty, started=datetime(2030, 1, 1, tzinfo=UTC), threads=17, timings={"revalue": 9.0})
    assert page.render(later) == text


def test_every_control_has_a_label_and_every_plot_a_caption(parsed):
    labels = {a["for"] for tag, a in parsed.elements if tag == "label"}
    assert {a["id"] for tag, a in parsed.elements if tag in {"select", "input"}} == labels
    plots = [a for tag, a in parsed.elements if a.get("role") == "img"]
    assert len(plots) == 3
    assert all(a["aria-label"] for a in plots)
    assert [a["aria-sort"] for tag, a in parsed.elements if "aria-sort" in a] == ["descending"]
    assert sum(tag == "figcaption" for tag, _ in parsed.elements) == 3
    assert [tag for tag, _ in parsed.elements if tag == "h1"] == ["h1"]


def test_what_is_computed_is_told(run):
    text = page.render(run)
    for wanted in (
        "2026-01-05 00:00:00 UTC",
        "expected shortfall at 99 % over 1 day",
        "monte_carlo.seed",
        "Filtered historical",
    ):
        assert wanted in text
    for digest in run.inputs.values():
        assert digest in text


def test_without_monte_carlo_there_is_one_histogram(run):
    config = run.config.model_copy(update={"monte_carlo": None})
    parsed = Page(page.render(replace(run, config=config, pnl={"fhs": run.pnl["fhs"]})))
    assert [a["id"] for _, a in parsed.elements if a.get("id", "").startswith("losses-text")] == ["losses-text-0"]


def test_a_long_table_is_cut_and_says_so(run, monkeypatch):
    monkeypatch.setattr(page, "ROWS", 2)
    text = page.render(run)
    assert "The 2 largest margins of 6; all stand in <code>margin.parquet</code>" in text


def test_an_empty_margin_table(run):
    empty = replace(run, margin=run.margin.slice(0, 0), pnl={m: p[:0] for m, p in run.pnl.items()})
    assert 'id="composition"' not in page.render(empty)


def test_embedded_json_cannot_leave_its_script():
    tree = {"a": "</script><!-- & \u2028", "b": [1.5, None]}
    text = str(page.embedded(tree))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == tree

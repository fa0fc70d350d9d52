"""`gpu-var procyclicality`: its files, its page, and what it refuses."""

import json
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from margin import cycle_books
from plotly.offline import get_plotlyjs

from gpu_var.batch.errors import UsageError
from gpu_var.margin.procyclicality import METHODS
from gpu_var.report.procyclicality import command

NASTY = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(2)>", "=1+1"]


def ask(folder: Path, out: Path | None = None, **options) -> int:
    plain = {"days": None, "every": None, "backend": "cpu", "precision": "float64", "threads": 1, "quiet": True}
    return command(folder, None, out, **(plain | options))


class Page(HTMLParser):
    """Its elements, and the text of each script, cell and option."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.inside = [], []
        self.texts = {"script": [], "td": [], "option": [], "li": [], "figcaption": []}
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
def nasty(tmp_path_factory):
    """(the folder of the outputs, the book): accounts with awkward names."""
    folder = tmp_path_factory.mktemp("cycle")
    held = dict(zip(NASTY, (8.0, -3.0, 1.0), strict=True))
    book = cycle_books.book(folder / "book", antiprocyclicality={"option": "floor"}, held=held)
    assert ask(book, folder / "path.parquet", every=5) == 0
    return folder


def test_the_tables(nasty):
    path, summary = pq.read_table(nasty / "path.parquet"), pq.read_table(nasty / "path-summary.parquet")
    assert path.column_names == ["date", "account", "method", "margin"]
    names = [None, *sorted(NASTY)]
    rows = path.to_pylist()
    assert [row["account"] for row in rows[: 4 * len(METHODS) : len(METHODS)]] == names
    assert [row["method"] for row in rows[: len(METHODS)]] == list(METHODS)
    assert len(rows) == 12 * 4 * len(METHODS)  # sixty dates, every fifth
    dates = pc.unique(path["date"]).to_pylist()
    assert f"{dates[-1]:%Y-%m-%d %Z}" == f"{cycle_books.LAST} UTC"
    assert {(b - a).days for a, b in pairwise(dates)} == {5}
    for method in METHODS:
        own = [row["margin"] for row in rows if row["method"] == method and row["account"] == NASTY[0]]
        found = next(r for r in summary.to_pylist() if (r["account"], r["method"]) == (NASTY[0], method))
        assert found["peak_to_trough"] == max(own) / min(own)
        assert found["rise_5d"] == max(b / a for a, b in pairwise(own)) - 1
        assert found["rise_20d"] == max(b / a for a, b in zip(own, own[4:], strict=False)) - 1
        assert found["rise_1d"] is None
        assert (found["first"], found["last"], found["mean"]) == (own[0], own[-1], pytest.approx(sum(own) / 12))
        last = [row["margin"] for row in rows if row["method"] == method and row["date"] == dates[-1]]
        assert last[0] == pytest.approx(sum(last[1:]))
    assert [(r["account"], r["method"]) for r in summary.to_pylist()] == [(n, m) for n in names for m in METHODS]


def test_the_page_is_harmless_and_asks_no_other_host(nasty):
    text = (nasty / "path.html").read_text(encoding="utf-8")
    page = Page(text)
    assert len(page.texts["script"]) == 3
    assert not [tag for tag, _ in page.elements if tag in {"img", "iframe", "object", "embed", "base", "form"}]
    assert page.texts["option"][0] == "All accounts"
    assert sorted(page.texts["option"][1:]) == sorted(NASTY)
    assert set(NASTY) <= set(page.texts["td"])
    for _, attributes in page.elements:
        assert attributes.get("href", "data:,") == "data:,"
        assert "src" not in attributes
    policy = next(a["content"] for t, a in page.elements if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    own = text.replace(get_plotlyjs(), "")
    assert "http://" not in own
    assert "https://" not in own
    labels = {a["for"] for tag, a in page.elements if tag == "label"}
    assert {a["id"] for tag, a in page.elements if tag == "select"} == labels
    assert [a["aria-label"] for _, a in page.elements if a.get("role") == "img"]
    assert len(page.texts["figcaption"]) == 1


def test_the_plot_has_the_numbers_of_the_tables(nasty):
    data = json.loads(Page((nasty / "path.html").read_text(encoding="utf-8")).texts["script"][0])
    path = pq.read_table(nasty / "path.parquet").to_pylist()
    assert data["dates"][-1] == str(cycle_books.LAST)
    assert [method["name"] for method in data["methods"]] == list(METHODS)
    for c, name in enumerate(data["names"]):
        for m, method in enumerate(METHODS):
            wanted = [r["margin"] for r in path if r["method"] == method and (r["account"] or "All accounts") == name]
            assert data["margins"][c][m] == pytest.approx(wanted, rel=1e-6)
    assert len(data["measures"]) == len(data["names"]) == 4
    assert data["measures"][0][0][1] == "–"  # the rise over one row, every fifth of which is there


def test_the_same_bytes_again_and_on_two_threads(nasty):
    assert ask(nasty / "book", nasty / "again.parquet", every=5, threads=2) == 0
    for name in ("{}.parquet", "{}-summary.parquet", "{}.html"):
        assert (nasty / name.format("again")).read_bytes() == (nasty / name.format("path")).read_bytes()


def test_the_terminal_says_what_was_measured(nasty, capsys):
    assert ask(nasty / "book", nasty / "said.csv", quiet=False, every=10, days=40) == 0
    said = capsys.readouterr()
    for method in METHODS:
        assert method in said.out
    assert "peak/trough" in said.out
    assert "5 dates, every 10 rows of history from 2025-11-26 to 2026-01-05" in said.out
    assert "–: not measured with --every 10" in said.out
    assert "said-summary.csv" in said.out
    assert "note: antiprocyclicality: the volatility of the reference look-back" in said.err
    assert "highest volatility over any 250 returns" in said.err
    assert (nasty / "said.csv").read_text().startswith("date,account,method,margin\n2025-11-26 00:00:00.000000Z,,")
    assert pyarrow.csv.read_csv(nasty / "said-summary.csv").num_rows == 4 * len(METHODS)


def test_by_default_it_stands_beside_the_book_and_takes_every_day(tmp_path):
    assert ask(cycle_books.book(tmp_path / "book", 40)) == 0
    names = {"book", "book-procyclicality.parquet", "book-procyclicality-summary.parquet", "book-procyclicality.html"}
    assert {path.name for path in tmp_path.iterdir()} == names
    summary = pq.read_table(tmp_path / "book-procyclicality-summary.parquet").to_pylist()
    assert summary[0]["rise_1d"] is not None


def test_an_account_that_fails_leaves_the_others_alone(tmp_path, capsys):
    book = cycle_books.book(tmp_path / "book", held={"sound": 8.0, "vast": 9e14}, spot=9e299)
    assert ask(book, tmp_path / "path.csv", quiet=False, every=20) == 3
    said = capsys.readouterr()
    assert "error: 1 of 2 accounts failed; the others are written" in said.err
    assert "error: account vast: failed: profit and loss on X is not finite" in said.err
    rows = pyarrow.csv.read_csv(tmp_path / "path-summary.csv").to_pylist()
    assert all((row["peak"] is None) == (row["account"] == "vast") for row in rows)
    assert "1 account failed and is not in the totals" in (tmp_path / "path.html").read_text()


REFUSED = [
    ({"every": 0}, "--every 0; expected at least 1"),
    ({"days": 0}, "--days 0; expected at least 1"),
    ({"threads": 0}, "--threads 0; expected at least 1"),
    ({"every": 60}, "1 date on the path; expected 2 or more: a longer history than 90 rows"),
    ({"days": 3, "every": 4}, "a shorter lookback than 30, a smaller --every, or more --days"),
]


@pytest.mark.parametrize(("options", "said"), REFUSED)
def test_what_it_refuses(tmp_path, options, said):
    with pytest.raises(UsageError, match=said):
        ask(cycle_books.book(tmp_path / "book"), **options)
    assert [path.name for path in tmp_path.iterdir()] == ["book"]


def test_outputs_that_it_refuses(tmp_path):
    book = cycle_books.book(tmp_path / "book")
    (tmp_path / "a-summary.csv").mkdir()
    for out, said in (("a.txt", "expected one of"), ("book/a.csv", "never written to"), ("a.csv", "is a folder")):
        with pytest.raises(UsageError, match=said):
            ask(book, tmp_path / out)


def test_a_margin_that_does_not_follow_history_is_refused(tmp_path):
    toml = '[stress]\n[[stress.scenario]]\nname = "crash"\nshocks = { "spot:*" = -0.3 }\n'
    with pytest.raises(UsageError, match="the margin does not follow history"):
        ask(cycle_books.book(tmp_path / "book", toml=toml, fhs=None))

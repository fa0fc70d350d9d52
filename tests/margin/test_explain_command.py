"""gpu-var explain: what is said, on the terminal and on the page, and what is refused."""

import json
import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli.small import EMPTY, NAMES, replace, write_book
from oracle import books
from oracle.files import write_book as write_tables

import gpu_var as gv
from gpu_var.batch.errors import RunError, UsageError
from gpu_var.batch.explain import FailedAccountError, explain
from gpu_var.batch.nearest import nearest_names
from gpu_var.batch.reopen import reopen
from gpu_var.report.explain import explain as command
from gpu_var.report.explain_page import render
from gpu_var.tables.config import Config
from gpu_var.tables.config_again import restored
from gpu_var.tables.presets import names as presets

PLAIN = "plain"


def finished(book, out):
    gv.run(gv.read_book(book), gv.Config.load(book / "margin.toml"), backend="cpu").write(out)
    return out


def ask(out, account, **more):
    options = {"against": None, "html": None, "top": 5, "book": None, "against_book": None, "threads": 1}
    return command(out, account, **options | {"quiet": False} | more)


@pytest.fixture
def book(tmp_path):
    return write_book(tmp_path / "book")


@pytest.fixture
def out(book, tmp_path):
    return finished(book, tmp_path / "out")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two runs, a day apart, of books that stay."""
    folder = tmp_path_factory.mktemp("pair")
    first, second = write_book(folder / "first"), write_book(folder / "second")
    replace(second / "underlyings.csv", "X,USD,100,", "X,USD,103,")
    replace(second / "positions.csv", "plain,X,12", "plain,X,15")
    return finished(first, folder / "one"), finished(second, folder / "two")


# What is said.


def test_the_terminal_says_all_of_it(pair, capsys):
    assert ask(pair[1], PLAIN, against=pair[0]) == 0
    said = capsys.readouterr().out
    row = {r["account"]: r for r in pq.read_table(pair[1] / "margin.parquet").to_pylist()}[PLAIN]
    assert said.startswith(f"plain: margin {row['margin']:,.4f} USD\n")
    for line in (
        "What it is made of",
        "Core is the expected shortfall at 99 % over 1 day of",
        "The worst scenarios, and their weight in the measure",
        f"What moves in {row['worst_scenario']}, the worst scenario",
        "Contributions by expiry: they add up to core",
        "Contributions by position: they add up to core",
        "Why it has changed",
        "note: computed again, the margin is the same",
    ):
        assert line in said, line
    assert re.search(r"spot:X +-?0\.\d+ +103 ", said)
    assert re.search(r"X +12 +15\s", said)


def test_quiet_says_nothing(out, capsys):
    assert ask(out, PLAIN, quiet=True) == 0
    assert capsys.readouterr() == ("", "")


def test_an_account_without_positions(out, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert ask(out, EMPTY, html=page, against=out) == 0
    assert "The account holds nothing." in capsys.readouterr().out
    e = explain(out, EMPTY)
    assert e.shares == {}
    assert e.binding is None
    assert e.contributions.num_rows == e.shocks.num_rows == 0
    assert sum(e.composition["amount"].to_pylist()) == 0.0
    assert "The account holds nothing." in page.read_text(encoding="utf-8")


def test_top_is_the_number_of_scenarios_of_each_model(out):
    lowest, all_of_them = explain(out, PLAIN, top=1).scenarios, explain(out, PLAIN, top=10**6).scenarios
    # The worst of both, and the one that VaR is the loss of: of 50 scenarios at 99 %, the worst itself.
    assert lowest.select(["model", "rank", "var"]).to_pylist() == [
        {"model": "fhs", "rank": 1, "var": True},
        {"model": "monte_carlo", "rank": 1, "var": False},
        {"model": "monte_carlo", "rank": 4, "var": True},
    ]
    assert all_of_them.num_rows == 450
    for bad in (0, -1):
        with pytest.raises(UsageError, match=f"--top {bad}; expected at least 1"):
            explain(out, PLAIN, top=bad)


def test_shocks_take_levels_from_before_to_after(out):
    e = explain(out, PLAIN)
    assert e.binding is not None
    found = {row["factor"]: row for row in e.shocks.to_pylist()}
    assert found.keys() == {"spot:X", "iv:X:60d"}
    spot = found["spot:X"]
    assert (spot["before"], spot["after"]) == (100.0, pytest.approx(100.0 * math.exp(spot["shock"]), rel=1e-15))
    # 60 days are before the only slice, of 74 days, from where on the surface is flat: iv at ln(K/F) = 0.
    k = [math.log(0.9), math.log(1.1)]
    assert found["iv:X:60d"]["before"] == pytest.approx(0.24 + (0.2 - 0.24) * (0 - k[0]) / (k[1] - k[0]), rel=1e-12)
    sizes = [abs(row["shock"]) for row in e.shocks.to_pylist()]
    assert sizes == sorted(sizes, reverse=True)


def test_of_value_at_risk_the_binding_scenario_is_its_own(book, tmp_path):
    replace(book / "margin.toml", 'base_currency = "USD"', 'base_currency = "USD"\nmeasure = "var"\nlevel = 0.9')
    e = explain(finished(book, tmp_path / "out"), PLAIN)
    assert e.binding is not None
    (row,) = (r for r in e.scenarios.to_pylist() if (r["model"], r["scenario"]) == e.binding)
    assert row["var"]
    assert row["weight"] == 1.0
    assert row["rank"] == (5 if row["model"] == "fhs" else 40)
    assert row["loss"] == pytest.approx(e.row["core"], rel=1e-12)


def test_rates_and_currencies_have_levels_too(tmp_path):
    chosen = books.config(allow_unshocked=["iv:CRASH"])
    out = finished(write_tables(tmp_path / "book", books.world(), chosen), tmp_path / "out")
    run = reopen(out)
    for account in run.margin["account"].to_pylist():
        e = explain(out, account)
        for row in e.shocks.to_pylist():
            kind, _, name = row["factor"].partition(":")
            assert row["before"] is not None
            if kind == "fx":
                at = run.book.currencies.name.index(name)
                assert row["before"] == run.book.currencies.fx[at]
            if kind == "rate":
                assert row["after"] == pytest.approx(row["before"] + row["shock"], rel=1e-12)


def test_the_scan_is_split_too(tmp_path):
    chosen = books.config(fhs=None, scan={"price_range": 0.2, "vol_range": 0.3})
    out = finished(write_tables(tmp_path / "book", books.crypto(), chosen), tmp_path / "out")
    e = explain(out, "maker", out)
    assert e.shares == {"scan": 1.0}
    assert e.binding == tuple(e.row["worst_scenario"].split(":"))
    assert e.scan is not None
    (scan,) = e.scan.to_pylist()
    assert sum(e.contributions["scan"].to_pylist()) == pytest.approx(scan["scan_risk"], rel=1e-9)
    spot = e.shocks.to_pylist()[0]
    assert spot["factor"] == "spot:BTC"
    assert spot["after"] == pytest.approx(61_234.5 * (1.0 + spot["shock"]), rel=1e-12)
    assert "The scan, by underlying" in render(e)


# Names.


def test_identifiers_come_through_escaped(out, tmp_path, capsys):
    for number, name in enumerate(NAMES):
        page = tmp_path / f"{number}.html"
        assert ask(out, name, html=page) == 0
        assert name in capsys.readouterr().out
        parsed = Page(page.read_text(encoding="utf-8"))
        assert parsed.scripts == 3
        assert name in parsed.text


def test_the_page_asks_no_other_host_and_has_the_numbers(pair, tmp_path):
    e = explain(pair[1], PLAIN, pair[0])
    text = render(e)
    assert text == render(explain(pair[1], PLAIN, pair[0]))
    parsed = Page(text)
    assert not parsed.outside
    assert f"{e.row['margin']:,.4f}" in parsed.text
    figures = json.loads(parsed.data)
    assert figures.keys() == {"composition", "positions", "by-expiry", "change"}
    (fall,) = figures["change"]["data"]
    assert fall["x"][0] + sum(fall["x"][1:-1]) == pytest.approx(e.row["margin"], rel=1e-12)
    (bars,) = figures["positions"]["data"]
    assert sum(bars["x"]) == pytest.approx(sum(e.contributions["core"].to_pylist()), rel=1e-12)
    for name in figures:
        assert name in parsed.ids


class Page(HTMLParser):
    """Its text but for scripts, its data, the number of its scripts, its ids, and what it would load."""

    def __init__(self, text):
        super().__init__()
        self.text, self.data, self.scripts, self.ids, self.outside, self.inside = "", "", 0, set(), [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.inside = given.get("id", "script") if tag == "script" else "style" if tag == "style" else ""
        self.scripts += tag == "script"
        self.ids.add(given.get("id"))
        for key in ("src", "href", "action", "data"):
            if not (given.get(key) or "data:").startswith("data:"):
                self.outside.append((tag, given[key]))

    def handle_endtag(self, _tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside == "data":
            self.data += data
        elif not self.inside:
            self.text += data


# What is refused.


def test_an_unknown_account_is_told_the_nearest(out):
    with pytest.raises(UsageError, match=r"has no account 'plian'; the nearest are 'plain', '\.\./x', '=1\+1'"):
        ask(out, "plian")


def test_the_nearest_of_many():
    names = [f"client-{i:06}" for i in range(20_000)]
    assert nearest_names("client-01234", pa.array(names))[0] == "client-001234"
    assert nearest_names("CLIENT-004711", pa.array(names))[0] == "client-004711"
    assert nearest_names("x", pa.array([], pa.string())) == []


def test_what_is_no_run(tmp_path, book):
    for place, said in (
        (tmp_path / "nowhere", "does not exist; expected the folder of a finished run"),
        (book / "margin.toml", "is no folder; expected the folder of a finished run"),
        (book, "holds no finished run, for it has no run.json"),
    ):
        with pytest.raises(UsageError, match=re.escape(f"{place} {said}")):
            ask(place, PLAIN)


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "is broken"), ("[]", "is not that of a run"), ('{"book": "x"}', "has no backend, precision, config")],
)
def test_a_broken_run(out, text, said):
    (out / "run.json").write_text(text)
    with pytest.raises(UsageError, match=said):
        ask(out, PLAIN)


def test_outputs_that_are_not_the_runs_own(out):
    (out / "margin.parquet").write_bytes((out / "breakdown.parquet").read_bytes())
    with pytest.raises(UsageError, match=r"margin\.parquet is not the file that its run wrote"):
        ask(out, PLAIN)
    (out / "margin.parquet").unlink()
    with pytest.raises(UsageError, match=r"holds no finished run, for it has no margin\.parquet"):
        ask(out, PLAIN)


def test_a_book_that_has_changed_is_named_file_by_file(out, book):
    replace(book / "positions.csv", "plain,X,12", "plain,X,13")
    (book / "fx.csv").write_text("currency,rate\nEUR,1.1\n")
    (book / "accounts.csv").unlink()
    with pytest.raises(UsageError) as refused:
        ask(out, PLAIN)
    lines = str(refused.value).splitlines()
    assert lines[1:-1] == [
        "  accounts.csv: gone",
        "  fx.csv: new",
        "  positions.csv: its content has changed",
    ]
    assert lines[-1].startswith("give --book with a copy of it as it was")


def test_margin_toml_may_change_for_the_run_has_its_own(out, book):
    before = explain(out, PLAIN)
    replace(book / "margin.toml", "seed = 7", "seed = 8")
    after = explain(out, PLAIN)
    assert before.config == after.config
    assert before.contributions == after.contributions


def test_a_book_that_has_moved(out, book, tmp_path):
    moved = Path(shutil.move(book, tmp_path / "elsewhere"))
    with pytest.raises(UsageError, match=r"which is not there; give --book with where it is now"):
        ask(out, PLAIN)
    assert ask(out, PLAIN, book=moved, against=out, against_book=moved) == 0


def test_a_book_beside_its_run_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    finished(write_book(Path("book")), Path("out"))
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert ask(Path("../out"), PLAIN) == 0


def test_a_failed_account_says_why(book, tmp_path, capsys):
    replace(book / "positions.csv", "plain,X,12", "plain,X,1e15")
    replace(book / "instruments.csv", "X,spot,X,1,", "X,spot,X,1e300,")
    out = finished(book, tmp_path / "out")
    assert ask(out, PLAIN) == 3
    assert "account plain of" in (said := capsys.readouterr().err)
    assert "has no margin to explain: failed: " in said
    with pytest.raises(FailedAccountError):
        explain(out, PLAIN)


def test_a_margin_that_is_not_found_again(out, monkeypatch):
    """As where another version computes otherwise: here the run claims to be of another level."""
    facts = json.loads((out / "run.json").read_text())
    facts["config"]["level"] = 0.5
    (out / "run.json").write_text(json.dumps(facts))
    with pytest.raises(RunError, match=r"is not found again: it says \d"):
        ask(out, PLAIN)


def test_a_run_of_a_gpu_is_explained_without_one(out, monkeypatch):
    monkeypatch.setattr("gpu_var.batch.host.unavailable", lambda: "there is no GPU")
    facts = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps(facts | {"backend": "cuda", "precision": "float32", "version": "0.0.9"}))
    e = explain(out, PLAIN)
    assert e.notes[0] == "computed on cuda in float32, recomputed on the cpu in float64, as there is no GPU here"
    assert e.notes[1].startswith("computed by version 0.0.9, recomputed by version ")


def test_runs_in_other_currencies(out, book, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(book, other)
    replace(other / "margin.toml", 'base_currency = "USD"', 'base_currency = "EUR"')
    (other / "fx.csv").write_text("currency,rate\nUSD,0.9\n")
    replace(other / "history.csv", "date,spot:X", "date,fx:USD,spot:X")
    heading, *rows = (other / "history.csv").read_text().splitlines()
    moved = [row.replace(",", f",{0.9 + 0.01 * math.sin(3.1 * i * i)!r},", 1) for i, row in enumerate(rows)]
    (other / "history.csv").write_text("\n".join([heading, *moved]) + "\n")
    euros = finished(other, tmp_path / "euros")
    with pytest.raises(UsageError, match=r"are in USD, those of .* in EUR; expected the same base currency"):
        ask(euros, PLAIN, against=out)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("page.txt", r"page\.txt does not end in \.html"),
        ("folder.html", "is a folder; give a file"),
        ("no/page.html", "does not exist; make it first"),
        ("book/page.html", "a book is never written to"),
    ],
)
def test_where_the_page_cannot_go(out, book, tmp_path, name, said):
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(UsageError, match=said):
        ask(out, PLAIN, html=tmp_path / name)
    assert not (book / "page.html").exists()


# The configuration of a run, from run.json.


@pytest.mark.parametrize("preset", presets())
def test_a_configuration_comes_back_from_what_run_json_says_of_it(preset):
    config = Config(as_of="2026-01-05", base_currency="USD", preset=preset)
    assert restored(json.loads(json.dumps(config.as_dict()))) == config


def test_so_does_one_without_a_preset():
    config = Config(
        as_of="2026-01-05",
        base_currency="USD",
        fhs={"lookback": 250, "volatility_floor": {"spot:*": 0.01}},
        monte_carlo={"lookback": 500, "paths": 10},
        stress={"period": [["2025-12-10", "2025-12-20"]], "scenario": [{"name": "a", "shocks": {"spot:*": -0.3}}]},
        core={"combine": "blend", "stress_weight": 0.0},
    )
    assert restored(config.as_dict()) == config


def test_one_that_this_version_does_not_know_is_refused(out):
    facts = json.loads((out / "run.json").read_text())
    facts["config"]["later"] = {"key": 1}
    (out / "run.json").write_text(json.dumps(facts))
    with pytest.raises(UsageError, match=r"has a configuration that this version, .*, cannot read .*later"):
        ask(out, PLAIN)

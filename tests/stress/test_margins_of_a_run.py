"""The margins of a finished run, taken for a stress test of the same book."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from stress.stress_books import CRASH, RALLY, file_of, house, stressed

from gpu_var.margin.requirement import requirement
from gpu_var.market.checks import load
from gpu_var.stress.margins import margins_of

THIN = {**CRASH, "name": "thin", "spreads": 2.0, "adv": 0.25}


def finished(folder):
    """The tables of a run over a book, and what its run.json says that matters here."""
    book, config, factors, _ = load(folder)
    tables = requirement(book, config, factors, threads=1).tables
    return book, config, tables["margin"], tables["breakdown"], {"config": config.as_dict()}


def test_the_same_numbers_as_when_they_are_computed(tmp_path):
    folder = house(tmp_path / "book", liquidity="40,0.01,")
    book, config, margin, breakdown, facts = finished(folder)
    # neither the order of rows nor accounts without positions matter
    backwards = margin.take(pa.array(np.arange(margin.num_rows)[::-1]))
    taken, findings = margins_of(backwards, breakdown.slice(0, breakdown.num_rows), facts, book, config, "out")
    assert not findings.errors
    assert not taken.failed
    file = file_of(CRASH, RALLY, THIN)
    given, computed = stressed(folder, file, margin=taken), stressed(folder, file)
    for name, table in computed.tables.items():
        assert given.tables[name].equals(table), name
    np.testing.assert_array_equal(given.exposure.loss, computed.exposure.loss)
    np.testing.assert_array_equal(given.exposure.liquidation, computed.exposure.liquidation)
    assert given.exposure.liquidation[:, 2].all()
    np.testing.assert_array_equal(given.exposure.margin, computed.exposure.margin)


def test_a_margin_that_is_not_the_models(tmp_path):
    """Twice the margin of alpha's house: 300 − 200 = 100 short in the crash rather than 200."""
    folder = house(tmp_path / "book")
    book, config, margin, breakdown, facts = finished(folder)
    doubled = margin.set_column(3, "margin", pc.multiply(margin["margin"], 2.0))
    taken, _ = margins_of(doubled, breakdown, facts, book, config, "out")
    test = stressed(folder, margin=taken)
    assert test.shortfall.house[0, 0] == pytest.approx(100)


def test_failed_accounts_of_the_run_are_left_out(tmp_path):
    folder = house(tmp_path / "book")
    book, config, margin, breakdown, facts = finished(folder)
    row = margin["account"].to_pylist().index("alpha-1")
    status = margin["status"].to_pylist()
    amounts = margin["margin"].to_pylist()
    status[row], amounts[row] = "failed: no reason", None
    broken = margin.set_column(2, "status", pa.array(status)).set_column(3, "margin", pa.array(amounts))
    taken, _ = margins_of(broken, breakdown, facts, book, config, "out")
    test = stressed(folder, margin=taken)
    assert test.failed == {row: "no reason (in out)"}
    assert test.shortfall.member[0, 0] == pytest.approx(200)  # alpha-1's 400 is not known
    assert any("1 account failed and left out of all sums" in note and "alpha-1" in note for note in test.notes)
    rows = [r for r in next(test.losses()).to_pylist() if r["account"] == "alpha-1"]
    assert [(r["status"], r["loss"], r["margin"]) for r in rows] == [("failed: no reason (in out)", None, None)] * 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"base_currency": "EUR"}, "its base currency is 'EUR'; expected a run in 'USD'"),
        ({"as_of": "2026-01-06T00:00:00Z"}, "its as_of is '2026-01-06T00:00:00Z'; expected a run at"),
        ({"as_of": None}, "its as_of is None; expected a run at"),
    ],
)
def test_another_run(tmp_path, change, words):
    book, config, margin, breakdown, facts = finished(house(tmp_path / "book"))
    other = {"config": {**facts["config"], **change}}
    taken, findings = margins_of(margin, breakdown, other, book, config, "out")
    assert taken is None
    assert [text for text in findings.errors if words in text] == findings.errors
    assert findings.errors[0].startswith("--margin out: ")


def test_other_accounts(tmp_path):
    book, config, margin, breakdown, facts = finished(house(tmp_path / "book"))
    renamed = pc.replace_substring(margin["account"], "alpha-1", "omega")
    taken, findings = margins_of(margin.set_column(0, "account", renamed), breakdown, facts, book, config, "out")
    assert taken is None
    assert findings.errors == [
        "--margin out: it has no margin for alpha-1; expected a run over the same accounts",
        "--margin out: it has accounts that the book does not have: omega; expected a run over the same accounts",
    ]

"""What is said of [collateral], [initial] and [maintenance] on the command line; the bounds themselves work."""

import pytest
from tables.base import BOOK, write

from gpu_var.cli import main

FHS = BOOK["margin.toml"].split("[monte_carlo]")[0]
POSTED = "account,asset,quantity\nA1,BTC,2\nA2,EUR,100\nA1,USD,5\n"

BAD = [
    (
        "[collateral]\nhaircuts = { BTC = 1.01 }",
        "key collateral.haircuts.BTC: 1.01 is out of range; expected a table of",
    ),
    (
        "[collateral]\nhaircuts = { BTC = -0.01 }",
        "key collateral.haircuts.BTC: -0.01 is out of range; expected a table",
    ),
    ('[collateral]\nhaircuts = { BTC = "15%" }', "key collateral.haircuts.BTC: '15%' is of the wrong type"),
    ("[collateral]\nhaircuts = 0.1", "key collateral.haircuts: 0.1 is of the wrong type; expected a table of assets"),
    (
        "[collateral]\nhaircut = { BTC = 0.1 }",
        "key collateral.haircut: unknown",
    ),
    ("[collateral]\nsimulate = 1", "key collateral.simulate: 1 is of the wrong type; expected true or false"),
    ('[collateral]\ncredit_option_value = "no"', "key collateral.credit_option_value: 'no' is of the wrong type"),
    ("[initial]\nfactor = 0.99", "key initial.factor: 0.99 is out of range; expected a number from 1 to 10"),
    ("[initial]\nfactor = 10.1", "key initial.factor: 10.1 is out of range; expected a number from 1 to 10"),
    ("[maintenance]", "key maintenance.factor: missing; expected it, or a level"),
    ("[maintenance]\nfactor = 0", "key maintenance.factor: 0 is out of range; expected a number with 0 < factor <= 10"),
    ("[maintenance]\nfactor = 10.5", "key maintenance.factor: 10.5 is out of range"),
    ("[maintenance]\nfactor = 1.01", "key maintenance.factor: 1.01 is above the initial margin's; expected at most 1,"),
    (
        "[initial]\nfactor = 1.3\n[maintenance]\nfactor = 1.31",
        "factor: 1.31 is above the initial margin's; expected at",
    ),
    ("[maintenance]\nfactor = 0.5\nlevel = 0.9", "key maintenance.level: 0.9 does not go with a factor; expected one"),
    ("[maintenance]\nlevel = 0.49", "key maintenance.level: 0.49 is out of range; expected a number with 0.5 <= level"),
    ("[maintenance]\nlevel = 1", "key maintenance.level: 1 is out of range"),
    ("[maintenance]\nlevel = 0.995", "key maintenance.level: 0.995 is above the level of the initial margin; expected"),
    ("[maintainance]\nfactor = 0.5", "key maintainance: unknown table; the nearest known one is 'maintenance'"),
]
GOOD = [
    "[collateral]\nhaircuts = { BTC = 0, EUR = 1 }\n[initial]\nfactor = 1\n[maintenance]\nfactor = 1",
    '[collateral]\nhaircuts = { "*" = 0.5 }\n[initial]\nfactor = 10\n[maintenance]\nfactor = 10',
    "[collateral]\nsimulate = true\n[maintenance]\nfactor = 1e-9",
    "[collateral]\nsimulate = true\ncredit_option_value = true\n[maintenance]\nlevel = 0.5",
    "[maintenance]\nlevel = 0.99",
]


def said(capsys) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith(("error", "1 error", "2 errors"))]


@pytest.mark.parametrize(("text", "says"), BAD, ids=[text for text, _ in BAD])
def test_is_found(tmp_path, capsys, text, says):
    book = write(tmp_path / "book", margin__toml=FHS + text + "\n")
    assert main(["run", str(book)]) == 2
    first, last = said(capsys)
    assert says in first
    assert last == "1 error in 1 table; nothing was written"
    assert [path.name for path in tmp_path.iterdir()] == ["book"]


@pytest.mark.parametrize("text", GOOD)
def test_is_accepted(tmp_path, text):
    book = write(tmp_path / "book", margin__toml=FHS + text + "\n")
    (book / "collateral.csv").write_text(POSTED)
    assert main(["validate", str(book), "--quiet"]) == 0


def test_worst_has_no_level(tmp_path, capsys):
    text = 'measure = "worst"\n' + FHS + "[maintenance]\nlevel = 0.9\n"
    assert main(["validate", str(write(tmp_path / "book", margin__toml=text))]) == 2
    assert "key maintenance.level: 0.9 changes nothing, for measure 'worst' has no level" in said(capsys)[0]


def test_assets_without_a_haircut(tmp_path, capsys):
    book = write(tmp_path / "book", margin__toml=FHS + "[collateral]\nhaircuts = { BTX = 0.1 }\n")
    (book / "collateral.csv").write_text(POSTED)
    assert main(["run", str(book)]) == 2
    where, rule = "error: collateral.csv line", "in [collateral] haircuts, for it or for '*'"
    assert said(capsys) == [
        f"{where} 2, column asset: 'BTC' has no haircut; there is one for 'BTX'; expected one {rule}",
        f"{where} 3, column asset: 'EUR' has no haircut; expected one {rule}",
        "2 errors in 1 table; nothing was written",
    ]


def test_an_unknown_asset_is_one_finding(tmp_path, capsys):
    book = write(tmp_path / "book", margin__toml=FHS + "[collateral]\nsimulate = true\n")
    (book / "collateral.csv").write_text("account,asset,quantity\nA1,ETX,2\n")
    assert main(["run", str(book)]) == 2
    assert "'ETX' is neither an underlying nor a currency" in said(capsys)[0]


def test_without_the_table_no_haircut_is_needed(tmp_path):
    book = write(tmp_path / "book", margin__toml=FHS)
    (book / "collateral.csv").write_text(POSTED)
    assert main(["validate", str(book), "--quiet"]) == 0


def test_a_currency_that_is_pledged_needs_its_factor(tmp_path, capsys):
    book = write(tmp_path / "book", margin__toml=FHS + "[collateral]\nsimulate = true\n")
    (book / "collateral.csv").write_text("account,asset,quantity\nA1,GBP,2\n")
    (book / "fx.csv").write_text("currency,rate\nEUR,1.1\nGBP,1.3\n")
    assert main(["run", str(book)]) == 2
    text = "error: history.csv, column fx:GBP: missing; expected a column of this name"
    assert said(capsys)[0].startswith(text)

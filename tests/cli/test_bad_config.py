"""What is said of a margin.toml that is missing, not TOML, of the wrong type or range, or contradicts itself."""

import pytest
from tables.base import BOOK, write

from gpu_var.cli import main

TOP = 'as_of = 2026-01-01T00:00:00Z\nbase_currency = "USD"\n'
CASES = [
    ("level = 2", "key level: 2 is out of range; expected a number with 0.5 <= level < 1"),
    ("level = true", "key level: true is of the wrong type; expected a number with"),
    ("level = nan", "key level: nan is not accepted"),
    (
        "holding_period_days = 366",
        "key holding_period_days: 366 is out of range; expected a whole number from 1 to 365",
    ),
    ("holding_period_days = 1.5", "key holding_period_days: 1.5 is of the wrong type"),
    ('measure = "ES"', "key measure: 'ES' is not accepted; expected 'var', 'es' or 'worst'"),
    ("roll = 1", "key roll: 1 is of the wrong type; expected true or false"),
    ("levle = 0.9", "key levle: unknown key; the nearest known one is 'level'"),
    ("decay = 0.9", "key decay: unknown key; it belongs to [fhs]"),
    ('allow_unshocked = ["BTC"]', "key allow_unshocked: ['BTC'] is not accepted; expected a list of factors"),
    ("core = 1", "key core: 1 is of the wrong type; expected a table"),
    ("level = ", "margin.toml line 3, column 9: not TOML"),
    ("[fsh]\n", "key fsh: unknown table; the nearest known one is 'fhs'"),
    ("[stres]\n", "key stres: unknown table; the nearest known one is 'stress'"),
    ("[stress]\n", "key stress: no scenario; expected one or more tables [[stress.scenario]], or period"),
    ("[fhs]\nlookback = 1", "key fhs.lookback: 1 is out of range; expected a whole number of returns, 2 or more"),
    ("[fhs]\ndecay = 1.0", "key fhs.decay: 1.0 is out of range; expected a number with 0 < decay < 1"),
    ('[fhs]\nscaling = "half"', "key fhs.scaling: 'half' is not accepted"),
    ("[fhs]\nmax_gap_days = 0", "key fhs.max_gap_days: 0 is out of range"),
    (
        "[monte_carlo]\nseed = -1",
        "key monte_carlo.seed: -1 is out of range; expected a whole number from 0 to 2**63 - 1",
    ),
    ("[monte_carlo]\nseed = 9223372036854775808", "key monte_carlo.seed: 9223372036854775808 is out of range"),
    ("[monte_carlo]\npaths = 0", "key monte_carlo.paths: 0 is out of range"),
    (
        "[monte_carlo]\nlookback = 20\npaths = 1000000000000",
        "key monte_carlo.paths: 1,000,000,000,000 paths cannot fit",
    ),
    ("[monte_carlo]\ndof = 4", "key monte_carlo.dof: 4 goes with copula 'student_t' only"),
    ('[monte_carlo]\ncopula = "student_t"', "key monte_carlo.dof: missing with copula 'student_t'"),
    ('[monte_carlo]\ncopula = "student_t"\ndof = 2', "key monte_carlo.dof: 2 is out of range; expected a number > 2"),
    ("[core]\nstress_weight = 0.5", "key core.stress_weight: 0.5 goes with combine 'blend' only"),
    ('[core]\ncombine = "blend"', "key core.stress_weight: missing with combine 'blend'"),
    ('[fhs]\n[core]\ncombine = "blend"\nstress_weight = 0.5', "key core.combine: 'blend' needs the model [stress]"),
    ('preset = "spam"', "key preset: 'spam' is no preset; the nearest known one is 'span"),
    ("[concentration]\nparticipation = 0", "key concentration.participation: 0 is out of range"),
    ("[liquidity]\nspread = 1", "key liquidity.spread: unknown key"),
    ("", "margin.toml: no model is enabled; expected a table [fhs], [monte_carlo], [scan] or [stress]"),
]


@pytest.mark.parametrize(("text", "said"), CASES, ids=[text or "no model" for text, _ in CASES])
def test_is_found(tmp_path, capsys, text, said):
    book = write(tmp_path / "book", margin__toml=TOP + text + "\n")
    assert main(["run", str(book)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note:")]
    assert said in lines[0]
    assert lines[1:] == ["1 error in 1 table; nothing was written"]
    assert [path.name for path in tmp_path.iterdir()] == ["book"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "key as_of: missing; expected a date or a date-time"),
        ("as_of = 5", "key as_of: 5 is of the wrong type; expected"),
        ("as_of = 10:00:00", "key as_of: 10:00:00 is of the wrong type"),
        ('as_of = "yesterday"', "key as_of: 'yesterday' is not accepted"),
        ('as_of = "2026-02-30"', "key as_of: '2026-02-30' is not accepted"),
    ],
)
def test_as_of_is_found(tmp_path, capsys, text, said):
    config = BOOK["margin.toml"].replace("as_of = 2026-01-01T00:00:00Z", text)
    assert main(["validate", str(write(tmp_path / "book", margin__toml=config))]) == 2
    assert said in capsys.readouterr().err


def test_none_is_found(tmp_path, capsys):
    book = write(tmp_path / "book", margin__toml=None)
    assert main(["validate", str(book)]) == 2
    assert str(book / "margin.toml") in capsys.readouterr().err
    assert main(["validate", str(book), "--config", str(tmp_path / "other.toml")]) == 2
    assert str(tmp_path / "other.toml") in capsys.readouterr().err


def test_not_utf8_is_found(tmp_path, capsys):
    assert main(["validate", str(write(tmp_path / "book", margin__toml=b'base_currency = "\xe9"'))]) == 2
    assert "margin.toml line 1: byte 18 is not UTF-8" in capsys.readouterr().err

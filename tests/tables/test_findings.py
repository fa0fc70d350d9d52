import pytest

from gpu_var.tables.findings import Findings, InputError, distance, escaped, listed, nearest, shown


def test_nothing_wrong_says_nothing():
    findings = Findings()
    findings.note("a note")
    findings.note("a note")
    findings.raise_if_any()
    assert findings.lines() == []
    assert findings.notes == ["a note"]


def test_input_error_holds_the_report():
    findings = Findings()
    findings.error("fx.csv", "wrong", place="fx.csv line 3", column="rate")
    with pytest.raises(InputError) as error:
        findings.raise_if_any()
    assert str(error.value) == "error: fx.csv line 3, column rate: wrong\n1 error in 1 table; nothing was written"
    assert error.value.findings is findings


def test_a_kind_is_counted_beyond_the_first_ten():
    findings = Findings()
    for _ in range(3):
        findings.errors_at("a.csv", [f"a.csv line {i}" for i in range(5)], str, kind="x", count=500)
    assert len(findings.errors) == 10
    assert findings.count == 1500
    assert findings.lines()[10] == "… and 1,490 more like it (a.csv)"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\tb", r"'a\tb'"),
        ("\x1b[31m", r"'\x1b[31m'"),
        ("\u202eabc", r"'\u202eabc'"),
        ("日本", "'日本'"),
        ("x" * 81, f"'{'x' * 80}…'"),
        (1.5, "1.5"),
    ],
)
def test_values_are_shown_cut_and_escaped(value, text):
    assert shown(value) == text
    assert escaped(text, 1000).isprintable()


def test_long_lists_are_cut():
    assert listed("abc") == "a, b, c"
    assert listed(map(str, range(1007))) == "0, 1, 2, 3, 4 and 1,002 more"


@pytest.mark.parametrize(
    ("a", "b", "edits"),
    [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("spot", "spto", 2), ("vol", "vols", 1)],
)
def test_edit_distance(a, b, edits):
    assert distance(a, b) == distance(b, a) == edits


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("multiplyer", "multiplier"),
        ("IV", "iv"),
        ("rihgt", "right"),
        ("comment", None),
        ("xy", None),
        ("strike", "strike"),
    ],
)
def test_nearest(name, meant):
    assert nearest(name, ["multiplier", "iv", "right", "strike"]) == meant


def test_findings_of_others_are_included():
    own, others = Findings(), Findings()
    for n in range(6):
        own.error("a.csv", f"wrong {n}", kind="wrong", place=f"a.csv line {n}")
        others.error("a.csv", f"wrong {n + 6}", kind="wrong", place=f"a.csv line {n + 6}")
    others.error("b.csv", "missing")
    others.note("a note")
    own.include(others)
    assert own.count == 13
    assert len(own.errors) == 11  # at most ten of a kind
    assert own.errors[-1] == "b.csv: missing"
    assert own.notes == ["a note"]
    assert own.lines()[-1] == "13 errors in 2 tables; nothing was written"

"""What is wrong with the rules of a test, and the bounds of [resources]."""

import pytest
from pydantic import ValidationError
from stress.stress_books import CRASH, RESOURCES, file_of, house, stressed

from gpu_var.market.checks import load
from gpu_var.stress.checks import check_rules
from gpu_var.tables.config_stress_test import Resources, StressFile
from gpu_var.tables.findings import Findings, InputError


def found(folder, file):
    book, _, factors, _ = load(folder)
    findings = Findings()
    check_rules(book, file, findings, "mine.toml", factors=factors, scenarios=["crash", "rally"])
    return findings.errors


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (
            {"resources": {"against": "collateral"}},
            "key resources.against: 'collateral' needs the table collateral, which the book does not have",
        ),
        (
            {"resources": {"defaulters": ["alpha", "beto"]}},
            "key resources.defaulters: 'beto' is no member and no group; the nearest is 'beta'",
        ),
        ({"close_out": {"members": ["gama"]}}, "key close_out.members: 'gama' is no member and no group"),
        (
            {"close_out": {"scenario": "crush"}},
            "key close_out.scenario: 'crush' is no scenario of the test; the nearest is 'crash'",
        ),
        ({"reverse": {"layer": ["margin", "fund"]}}, "key reverse.layer: 'fund' is a layer of the resources"),
        (
            {"resources": {}, "reverse": {"factors": "iv:*"}},
            "key reverse.factors: 'iv:*' is no factor of the run; the nearest is 'spot:X'",
        ),
        (
            {"resources": {}, "reverse": {"map": ["spot:*", "iv:*"]}},
            "key reverse.map: 'iv:*' is no factor of the run; the nearest is 'spot:X'",
        ),
    ],
)
def test_findings(tmp_path, tables, words):
    file = StressFile.model_validate({"scenario": [CRASH], **tables})
    (text,) = found(house(tmp_path / "book"), file)
    assert text.startswith("mine.toml, ")
    assert words in text
    assert "expected" in text


def test_nothing_is_wrong(tmp_path):
    tables = {
        "resources": {"defaulters": ["alpha", "gamma"]},
        "close_out": {"members": ["beta"], "scenario": "none"},
        "reverse": {"factors": "spot:X", "map": []},
    }
    assert found(house(tmp_path / "book"), StressFile.model_validate({"scenario": [CRASH], **tables})) == []


def test_nothing_is_computed_where_something_is_wrong(tmp_path):
    def progress(stage, share):
        raise AssertionError(f"{stage} had begun")

    with pytest.raises(InputError, match="'omega' is no member and no group"):
        stressed(house(tmp_path / "book"), file_of(resources={**RESOURCES, "defaulters": ["omega"]}), progress=progress)


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("own", [0.0, 1e15], [-0.01, "1", True]),
        ("own_after", [0.0, 1e15], [-0.01]),
        ("assessment", [0.0, 100.0], [-0.01]),
        ("cover", [1, 10], [0, 11, 1.5]),
        ("prudence", [0.0, 10.0], [-0.01]),
        ("least_contribution", [0.0, 1e15], [-1.0]),
        ("allocation", ["average", "worst"], ["mean"]),
        ("against", ["margin", "collateral", "larger"], ["smaller"]),
        ("clients", ["individual", "omnibus"], ["net"]),
        ("house_covers_clients", [True, False], [1, "yes"]),
        ("defaulters", [(), ("alpha",)], ["alpha", (1,)]),
        ("owm", [], [1.0]),
    ],
)
def test_bounds(key, good, bad):
    for value in good:
        assert getattr(Resources.model_validate({key: value}), key) == value
    for value in bad:
        with pytest.raises(ValidationError):
            Resources.model_validate({key: value})


@pytest.mark.parametrize("cover", [1, 10])
def test_as_many_groups_as_there_are_and_more(tmp_path, cover):
    test = stressed(house(tmp_path / "book"), file_of(resources={**RESOURCES, "cover": cover}))
    crash, _ = test.tables["cover"].to_pylist()
    assert crash["cover_n"] == pytest.approx(600 if cover == 1 else 840)
    assert crash["cover_n_groups"] == (["alpha"] if cover == 1 else ["alpha", "beta"])
    assert (crash["cover_1"], crash["cover_2"]) == (pytest.approx(600), pytest.approx(840))

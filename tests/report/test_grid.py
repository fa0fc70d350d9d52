"""Tables of the page, as text and as data for its script."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_var.report.grid import FIRST, Column, Grid, rounded, shown


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("money", 1234.5, "1,234.50"),
        ("money", -0.001, "0.00"),
        ("money", np.nan, "–"),
        ("change", 1234.5, "+1,234.50"),
        ("change", -1234.5, "-1,234.50"),
        ("change", 0.001, "0.00"),
        ("percent", 0.12345, "+12.3 %"),
        ("percent", -0.5, "-50.0 %"),
        ("share", 0.12345, "12.3 %"),
        ("count", 12345.0, "12,345"),
        ("number", 1.26, "1.3"),
        ("name", "a <b>", "a <b>"),
        ("text", None, "–"),
    ],
)
def test_values_are_shown(kind, value, text):
    assert shown(Column("c", "c", kind, np.array([value]), 2), value) == text


@given(st.lists(st.floats(-1e15, 1e15) | st.just(float("nan")) | st.just(float("inf")), max_size=20), st.integers(0, 6))
def test_numbers_are_as_short_as_they_are_shown(values, places):
    found = rounded(np.array(values, dtype=np.float64), places)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    for value, short in zip(values, found, strict=True):
        if np.isfinite(value):
            assert short == pytest.approx(value, abs=0.5 * 10**-places + 1e-9 * abs(value))
            assert len(f"{abs(short):.{places}f}") <= len(f"{abs(value):.{places}f}") + 1
        else:
            assert short is None


def test_text_that_repeats_is_given_once():
    repeated = Column("c", "c", "text", np.array(["b", "a", None, "b", "a", "b", "b"], dtype=object))
    unique = Column("d", "d", "name", np.array([f"<{i}>" for i in range(7)], dtype=object))
    data = Grid("g", "g", [repeated, unique]).data["columns"]
    assert [data[0]["words"][at] for at in data[0]["values"]] == ["b", "a", "", "b", "a", "b", "b"]
    assert data[1]["values"] == [f"<{i}>" for i in range(7)]
    assert "words" not in data[1]


def test_the_first_rows_and_the_total():
    values = np.arange(100.0) + 0.4
    grid = Grid("g", "g", [Column("c", "c", "money", values, 0)], sum="c")
    assert grid.first == [[str(i)] for i in range(FIRST)]
    assert grid.data["total"] == values.sum()
    assert grid.top(["c"], 2) == [(0.4,), (1.4,)]
    assert Grid("g", "g", [Column("c", "c", "money", values[:0])]).first == []

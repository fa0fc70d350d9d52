"""Greeks by expiry bucket: each position in its own, and their sums the cell's."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from margin.charge_books import measure

from gpu_var.cells import cells_of
from gpu_var.margin.addons import EXPIRIES, expiry_bucket, expiry_columns, sensitivities
from gpu_var.tables.book import NO_EXPIRY

FHS = '[fhs]\nlookback = 300\nscaling = "none"\n'
DAY = 86_400_000_000
GREEKS = ("delta", "gamma", "vega", "theta")


@pytest.mark.parametrize(
    ("days", "bucket"),
    [
        (-5.0, "30d"),
        (0.0, "30d"),
        (30.0, "30d"),
        (30.0 + 1e-6, "90d"),
        (90.0, "90d"),
        (91.0, "365d"),
        (365.0, "365d"),
        (365.01, "beyond"),
    ],
)
def test_upper_ends_are_inclusive(days, bucket):
    as_of = 1_767_571_200_000_000
    expiry = np.array([as_of + round(days * DAY), NO_EXPIRY])
    assert [EXPIRIES[b] for b in expiry_bucket(expiry, as_of)] == [bucket, "undated"]


# Of the book: 30 days, 74, 90, two years, expired, none.
PLACES = {
    "A-call": "30d",
    "A-fut": "90d",
    "A-put": "90d",
    "A-far": "beyond",
    "A-old": "30d",
    "A": "undated",
    "A-perp": "undated",
    "B-call": "365d",
    "N-put": "365d",
}


@pytest.mark.parametrize(("name", "bucket"), PLACES.items())
def test_a_position_stands_in_its_bucket_alone(tmp_path, name, bucket):
    s = measure(tmp_path / "book", FHS, a={name: -3.0}).sensitivity
    columns = expiry_columns(s)
    assert s.delta[0] != 0
    for greek in GREEKS:
        split = {b: columns[f"{greek}_{b}"][0] for b in EXPIRIES if f"{greek}_{b}" in columns}
        assert split.pop(bucket, 0.0) == getattr(s, greek)[0]
        assert not any(split.values())


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    return measure(tmp_path_factory.mktemp("all") / "book", FHS, a=dict.fromkeys(PLACES, 1.0), b={"A-call": 1.0})


def test_the_columns_are_seventeen(everything):
    columns = expiry_columns(everything.sensitivity)
    wanted = [f"{greek}_{bucket}" for greek in GREEKS for bucket in EXPIRIES]
    assert list(columns) == [name for name in wanted if name == "delta_undated" or not name.endswith("undated")]
    assert len(columns) == 17
    assert {values.shape for values in columns.values()} == {(len(everything.cells.account),)}


@given(st.data())
def test_buckets_add_up(everything, data):
    m = everything
    n = len(m.book.positions.quantity)
    quantity = np.array(data.draw(st.lists(st.floats(-1e3, 1e3), min_size=n, max_size=n)))
    book = replace(m.book, positions=replace(m.book.positions, quantity=quantity))
    found = sensitivities(book, m.config, cells_of(book), m.valuation, m.fx)
    columns = expiry_columns(found)
    for greek in GREEKS:
        parts = np.stack([values for name, values in columns.items() if name.startswith(greek)])
        size = np.abs(parts).sum(axis=0)
        assert (np.abs(parts.sum(axis=0) - getattr(found, greek)) <= 1e-12 * size).all()

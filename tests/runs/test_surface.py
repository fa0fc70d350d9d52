"""The smile that is read from a surface at any maturity, against the contract's words and linear interpolation."""

from dataclasses import replace

import numpy as np
import pytest

from cpu_reference.smile import smile_variance
from cpu_reference.types import Maturities
from gpu_var.benchmark.house import AS_OF, DAY, house
from gpu_var.market.curves import forward
from gpu_var.market.surface import smile
from gpu_var.tables.book import Nodes

SPOT = 96.0


def book_of(nodes, normal=False):
    """One underlying without carry: its forward is its spot. Nodes are (days, strike, iv)."""
    book = house(10, 2, 2, 10, underlyings=1).book
    days, strike, iv = (np.array(column) for column in zip(*nodes, strict=True)) if nodes else np.zeros((3, 0))
    vols = Nodes(np.zeros(len(nodes), np.int32), AS_OF + np.array(days, np.int64) * DAY, strike, iv)
    u = book.underlyings
    one = replace(u, spot=np.array([SPOT]), carry=np.zeros(1, np.bool_), normal=np.array([normal]))
    return replace(book, vols=vols, underlyings=one)


def read(book, days, moneyness):
    """(n_days, n) volatility."""
    years = np.array(days) / 365
    of = smile(book, 0, Maturities(years, forward(book, 0, years, 0 * years, AS_OF), 0 * years), AS_OF)
    m = np.repeat(np.arange(len(years)), len(moneyness))
    return np.sqrt(smile_variance(of, m, np.tile(moneyness, len(years)))).reshape(len(years), len(moneyness))


SLICES = {10: ([80.0, 95.0, 120.0], [0.5, 0.3, 0.4]), 40: ([70.0, 100.0], [0.35, 0.25]), 100: ([96.0], [0.2])}


@pytest.mark.parametrize("normal", [False, True])
def test_slices_and_between(normal):
    """Linear in moneyness within a slice, flat beyond; total variance linear in time between, σ flat beyond."""
    unit = SPOT if normal else 1.0
    slices = {
        days: (np.array(k) - SPOT if normal else np.log(np.array(k) / SPOT), np.array(iv) * unit)
        for days, (k, iv) in SLICES.items()
    }
    book = book_of([(d, k, iv * unit) for d, of in SLICES.items() for k, iv in zip(*of, strict=True)], normal)
    k = np.linspace(-0.5, 0.5, 41) * unit
    at = {days: np.interp(k, *of) for days, of in slices.items()}
    got = read(book, [2, 10, 25, 40, 55, 100, 500], k)
    halfway = np.sqrt((at[10] ** 2 * 10 + at[40] ** 2 * 40) / 2 / 25)
    quarter = np.sqrt((0.75 * at[40] ** 2 * 40 + 0.25 * at[100] ** 2 * 100) / 55)
    right = np.stack([at[10], at[10], halfway, at[40], quarter, at[100], at[100]])
    np.testing.assert_allclose(got, right, rtol=1e-13)


def test_nowhere():
    some = book_of([(10, 90.0, 0.3), (-5, 80.0, 0.9)][::-1])
    got = read(some, [-1, 0, 5], np.zeros(1))
    assert np.isnan(got[:2]).all()  # has expired
    np.testing.assert_allclose(got[2], 0.3, rtol=1e-15)  # and the slice that has, has no say
    assert np.isnan(read(book_of([]), [10], np.zeros(2))).all()
    assert read(some, [], np.zeros(1)).size == 0


def test_two_strikes_at_one_moneyness():
    """Neighbouring numbers as strikes, whose logarithms over the forward are one number, are as one strike."""
    twice = np.nextafter(100.0, 101.0)
    assert np.log(100.0 / SPOT) == np.log(twice / SPOT)
    nodes = [(10, 80.0, 0.4), (10, 100.0, 0.3), (10, 120.0, 0.35), (30, 90.0, 0.3)]
    days, k = [5, 10, 20, 30], np.linspace(-0.3, 0.3, 31)
    np.testing.assert_array_equal(
        read(book_of([*nodes[:2], (10, twice, 0.3), *nodes[2:]]), days, k), read(book_of(nodes), days, k)
    )

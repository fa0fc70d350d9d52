"""kernels/exercise.cu against the reference: boundaries, premiums, and whole premiums of puts of every regime."""

import importlib
import inspect
from typing import Any

import numpy as np
import pytest
from kernels.budget import spend
from kernels.host.device import HostDevice
from kernels.host.separate import SeparateDevice
from kernels.test_revalue import book

import cpu_reference
from cpu_reference import boundary, exercise
from cpu_reference.boundary import LOWER, UPPER, Puts
from cpu_reference.exercise import HOST, Side, deviations, exercise_premium
from gpu_var import cuda
from gpu_var.cuda.device import current

twin = importlib.import_module("gpu_var.cuda.exercise")

BOUNDARY = 1e-10
"""Relative budget of h²: what rounding makes of it through Newton's system, whose last step is 1e-6 of h or less."""

PREMIUM = 1e-12
"""Budget of a premium, a part of the strike."""

VALUED = {
    "price": 1e-12,
    "forward": 0.0,
    "iv": 0.0,
    "bucket_delta": 0.0,
    "delta": 1e-11,
    "gamma": 1e-10,
    "theta": 1e-11,
    "vega": 1e-9,
    "rho": 1e-8,
}
"""Budgets of today's columns over spot or strike (gamma: times spot); vega and rho are premiums' differences over 2e-3
and 1e-4."""

GREEKS = 1e-11
"""Budget of delta and gamma by S/K, relative where they are large: sums of some dozen terms that nearly cancel."""

SHAPES = [(12, 24), (16, 32), (24, 48), (40, 80), (64, 128)]


@pytest.fixture(autouse=True)
def few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """One warp a block: on the host a barrier costs a switch a thread."""
    monkeypatch.setattr(twin, "THREADS", 32)


def upper_puts(rng: np.random.Generator, n: int) -> Puts:
    """Puts with one boundary: ordinary ones, and extremes of each parameter; r = 0 and r = q among them."""
    rate = rng.choice([0.0, 1e-5, 1e-3, 0.02, 0.05, 0.3], n)
    dividend = np.where(rng.random(n) < 0.2, rate, rng.choice([-0.03, 0.0, 1e-5, 0.02, 0.07, 0.3], n))
    vol = np.exp(rng.uniform(np.log(0.02), np.log(3.0), n))
    years = np.exp(rng.uniform(np.log(1 / 365), np.log(10.0), n))
    _, single, _ = exercise.regime(rate, dividend, years)
    return Puts(rate, dividend, vol, years).take(np.flatnonzero(single))


def double_puts(rng: np.random.Generator, n: int) -> Puts:
    """Puts with q < r < 0."""
    rate = -rng.uniform(0.001, 0.05, n)
    return Puts(rate, rate - rng.uniform(0.005, 0.06, n), rng.uniform(0.03, 0.4, n), rng.uniform(0.05, 2.0, n))


def check_boundary(puts: Puts, side: int, degree: int, points: int, guess: np.ndarray | None = None) -> None:
    """Both solvers on the same puts."""
    with np.errstate(all="ignore"):
        expected, sure = boundary.solve_boundary(puts, side, degree, points, guess)
    got, converged = twin.solve_boundary(puts, side, degree, points, guess)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(converged, sure)
    error = np.abs(got[sure] / expected[sure] - 1.0)
    spend("solve_boundary", current().name, float(error.max(initial=0.0)), BOUNDARY)


def check_integral(rng: np.random.Generator, puts: Puts, sides: list[Side], m: int, points: int, panels: int) -> None:
    """Both integrals at the same spots, some of them far away."""
    x = rng.normal(0.0, 1.0, (len(puts.vol), m)) * np.sqrt(puts.years)[:, None] * puts.vol[:, None] * 2
    x[:, : m // 5] = rng.uniform(-3.0, 3.0, x[:, : m // 5].shape)
    horizon = puts.years * rng.choice([1.0, 0.4], len(puts.vol))
    with np.errstate(all="ignore"):
        expected = exercise.integrate(x, puts, horizon, sides, points, panels, True)
    got = twin.integrate(x, puts, horizon, sides, points, panels, True)
    assert all(a.shape == x.shape for a in got)
    spend("integrate", current().name, float(np.abs(got[0] - expected[0]).max(initial=0.0)), PREMIUM)
    for name, ours, theirs in zip(("delta", "gamma"), got[1:], expected[1:], strict=True):
        error = np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))
        spend(f"integrate_greeks {name}", current().name, float(error.max(initial=0.0)), GREEKS)
    premium, *none = twin.integrate(x, puts, horizon, sides, points, panels, False)
    np.testing.assert_array_equal(premium, got[0])
    assert not np.any(none)


def check_random(seed: int, n: int = 20, shapes: int = 2) -> None:
    """Boundaries of random puts on either side, at one of the first ``shapes`` degrees, and premiums over them."""
    rng = np.random.default_rng(seed)
    degree, points = SHAPES[rng.integers(0, shapes)]
    upper, double = upper_puts(rng, n), double_puts(rng, n // 2)
    for all_puts, side in ((upper, UPPER), (double, UPPER), (double, LOWER)):
        check_boundary(all_puts, side, degree, points)
        with np.errstate(all="ignore"):
            squared, sure = boundary.solve_boundary(all_puts, side, degree, points)
        puts, squared = all_puts.take(np.flatnonzero(sure)), squared[sure]
        m, panels = int(rng.choice([1, 7, 20, 31, 33, 70])), int(rng.choice([2, 4, 12, 40]))
        check_integral(rng, puts, [Side(side, squared)], m, int(rng.choice([20, 32])), panels)


@pytest.mark.parametrize("seed", range(4))
def test_random(host: HostDevice, seed: int) -> None:
    check_random(seed)


@pytest.mark.parametrize(("degree", "points"), SHAPES)
def test_every_degree(host: HostDevice, degree: int, points: int) -> None:
    rng = np.random.default_rng(degree)
    check_boundary(upper_puts(rng, 5), UPPER, degree, points)
    check_boundary(double_puts(rng, 2), LOWER, degree, points)


def test_several_warps(host: HostDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twin, "THREADS", 128)
    rng = np.random.default_rng(7)
    puts = upper_puts(rng, 4)
    check_boundary(puts, UPPER, 12, 24)
    with np.errstate(all="ignore"):
        squared, _ = boundary.solve_boundary(puts, UPPER, 12, 24)
    for m in (1, 20, 128, 129):
        check_integral(rng, puts, [Side(UPPER, squared)], m, 20, 4)


def test_a_guess(host: HostDevice) -> None:
    """One that is close, one that is not known, one of the wrong sign."""
    puts = Puts(*(np.full(4, v) for v in (0.05, 0.02, 0.3, 1.0)))
    squared, _ = boundary.solve_boundary(puts, UPPER, 12, 24)
    guess = squared * np.array([1.01, np.nan, -1.0, np.inf])[:, None]
    check_boundary(puts, UPPER, 12, 24, guess)


def test_what_does_not_converge(host: HostDevice) -> None:
    """NaNs, and a boundary far too steep for its nodes: said, and no other put is touched."""
    puts = Puts(
        np.array([np.nan, 0.05, 0.05, 0.05, 1.10453]),
        np.array([0.02, np.nan, 0.02, 0.02, 2.52458e-5]),
        np.array([0.3, 0.3, np.nan, 0.3, 0.00664728]),
        np.array([1.0, 1.0, 1.0, 1.0, 3.69493]),
    )
    check_boundary(puts, UPPER, 12, 24)
    squared, converged = twin.solve_boundary(puts, UPPER, 12, 24)
    assert converged.tolist() == [False, False, False, True, False]
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(squared, boundary.solve_boundary(puts, UPPER, 12, 24)[0], rtol=1e-9)  # NaN is NaN
    of, x = puts.take(np.arange(4)), np.zeros((4, 2))
    premium, _, _ = twin.integrate(x, of, of.years, [Side(UPPER, squared[:4])], 20, 2, False)
    assert np.isnan(premium).all(axis=1).tolist() == [True, True, True, False]


@pytest.mark.parametrize("put", [(0.05, 0.0, 1e-4, 0.01), (0.3, 0.31, 0.01, 0.01)])
def test_a_singular_system_is_shifted(
    host: HostDevice, monkeypatch: pytest.MonkeyPatch, put: tuple[float, float, float, float]
) -> None:
    """A guess so far off that whole rows vanish: the first is found from there, the second moves no further."""
    shifted = []
    plain = np.linalg.solve

    def solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(plain(matrix, right))
        except np.linalg.LinAlgError:
            shifted.append(1)
            raise

    monkeypatch.setattr(np.linalg, "solve", solve)
    puts, guess = Puts(*(np.full(1, value) for value in put)), np.ones((1, 12))
    with np.errstate(all="ignore"):
        expected, sure = boundary.solve_boundary(puts, UPPER, 12, 24, guess)
    assert shifted
    squared, converged = twin.solve_boundary(puts, UPPER, 12, 24, guess)
    assert squared == pytest.approx(expected, rel=BOUNDARY)
    assert converged.tolist() == sure.tolist()


def test_a_system_of_zeros(host: HostDevice) -> None:
    """The reference cannot go on and raises; the device says that it does not converge."""
    puts, guess = Puts(*(np.full(1, value) for value in (0.05, 0.3, 1e-3, 0.01))), np.ones((1, 12))
    with np.errstate(all="ignore"), pytest.raises(np.linalg.LinAlgError):
        boundary.solve_boundary(puts, UPPER, 12, 24, guess)
    assert not twin.solve_boundary(puts, UPPER, 12, 24, guess)[1].any()


def test_two_boundaries_add_up(host: HostDevice) -> None:
    rng = np.random.default_rng(3)
    puts = double_puts(rng, 4)
    above, below, horizon = boundary.solve_crossing(puts, 12, 24)
    x = rng.uniform(-0.5, 0.2, (4, 9))
    sides = [Side(UPPER, above), Side(LOWER, below)]
    expected = exercise.integrate(x, puts, horizon, sides, 20, 2, False)[0]
    got = twin.integrate(x, puts, horizon, sides, 20, 2, False)[0]
    spend("integrate", current().name, float(np.abs(got - expected).max()), PREMIUM)


@pytest.mark.parametrize("tolerance", [2e-7, 2e-8])
def test_whole_premiums(host: HostDevice, tolerance: float) -> None:
    """Chains, puts by themselves, both regimes, through `exercise_premium`; also measured from the boundary."""
    rng = np.random.default_rng(5)
    chain = Puts(*(np.full(14, v) for v in (0.04, 0.01)), np.linspace(0.2, 0.4, 14), np.full(14, 0.5))
    single, double = upper_puts(rng, 6), double_puts(rng, 2)
    for puts, unit in ((Puts(*map(np.concatenate, zip(chain, single, strict=True))), deviations), (double, None)):
        x = rng.uniform(0.0, 1.0, (len(puts.vol), 5)) * (-0.2 if unit is None else 1.0)
        with np.errstate(all="ignore"):
            host_side, device_side = (
                exercise_premium(x, puts, tolerance=tolerance, unit=unit, solver=solver)
                for solver in (HOST, twin.SOLVER)
            )
        np.testing.assert_array_equal(device_side.tier, host_side.tier)
        assert host_side.premium.max() > 1e-3
        error = float(np.abs(device_side.premium - host_side.premium).max())
        spend("exercise_premium", current().name, error, PREMIUM)
    assert {"solve_boundary", "integrate"} <= set(host.launches)


PRICED = {
    "a chain": {"strikes": 9, "years": (0.4,)},
    "each its own": {"strikes": 2, "order": np.random.default_rng(2).permutation},
    "two boundaries": {"strikes": 2, "years": (0.5,), "rates": -0.05},
}


def check_prices(seed: int, **options: Any) -> None:
    """Today's prices and Greeks of all kinds of instruments, by either backend."""
    of = book(np.random.default_rng(seed), 1, american=True, **options)
    today = of.market.today._replace(rate=of.market.today.rate + options.get("rates", 0.0))
    market = of.market._replace(today=today, horizon=today)
    want = cpu_reference.price(of.instruments, market, True)
    got = cuda.price(of.instruments, market, True, twin.SOLVER)
    largest = np.maximum(market.spot[0], np.nan_to_num(of.instruments.strike))
    for name, ours, theirs in zip(want._fields, got, want, strict=True):
        unit = {"price": largest, "forward": largest, "gamma": 1.0 / market.spot[0]}.get(name, 1.0)
        if name in ("vega", "theta", "rho"):
            unit = largest
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
        error = float(np.nan_to_num(np.abs(ours - theirs) / unit).max())
        spend(f"price.{name}", current().name, error, VALUED[name])


@pytest.mark.parametrize("case", PRICED)
def test_prices_and_greeks_of_today(separate: SeparateDevice, case: str) -> None:
    check_prices(4, **PRICED[case])
    assert {"solve_boundary", "integrate", "integrate_greeks"} <= set(separate.launches)


@pytest.mark.parametrize("degree", [12, 16])
def test_under_sanitizers(sanitized: HostDevice, monkeypatch: pytest.MonkeyPatch, degree: int) -> None:
    monkeypatch.setattr(twin, "THREADS", 64)
    rng = np.random.default_rng(1)
    puts = Puts(*(np.array([v]) for v in (0.05, 0.02, 0.3, 1.0)))
    check_boundary(puts, UPPER, degree, 2 * degree)
    check_boundary(puts, UPPER, degree, 2 * degree, np.full((1, degree), 50.0))
    squared, _ = boundary.solve_boundary(puts, UPPER, degree, 2 * degree)
    for m in (5, 70):
        check_integral(rng, puts, [Side(UPPER, squared)], m, 20, 12)


def test_no_puts(host: HostDevice) -> None:
    none = Puts(*np.empty((4, 0)))
    squared, converged = twin.solve_boundary(none, UPPER, 12, 24)
    assert squared.shape == (0, 12)
    assert converged.shape == (0,)
    assert twin.integrate(np.empty((0, 3)), none, np.empty(0), [Side(UPPER, squared)], 20, 2, False)[0].shape == (0, 3)
    one = Puts(*np.full((4, 1), 0.1))
    assert twin.integrate(np.empty((1, 0)), one, np.ones(1), [Side(UPPER, np.ones((1, 12)))], 20, 2, False)[0].size == 0


def test_twins() -> None:
    for ours, theirs in ((twin.solve_boundary, boundary.solve_boundary), (twin.integrate, exercise.integrate)):
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)


def test_bad_arguments(host: HostDevice) -> None:
    puts = Puts(*np.full((4, 2), 0.1))
    with pytest.raises(ValueError, match=r"vol has shape \(3,\); expected \(2,\)"):
        twin.solve_boundary(puts._replace(vol=np.ones(3)), UPPER, 12, 24)
    with pytest.raises(TypeError, match="years is no NumPy array of float64"):
        twin.solve_boundary(puts._replace(years=np.ones(2, np.float32)), UPPER, 12, 24)
    with pytest.raises(ValueError, match="side is 0; expected 1"):
        twin.solve_boundary(puts, 0, 12, 24)
    with pytest.raises(ValueError, match="degree is 65; expected 2 to 64"):
        twin.solve_boundary(puts, UPPER, 65, 24)
    with pytest.raises(ValueError, match="points is 129; expected 2 to 128"):
        twin.solve_boundary(puts, UPPER, 12, 129)
    with pytest.raises(ValueError, match="guess has shape"):
        twin.solve_boundary(puts, UPPER, 12, 24, np.ones((2, 11)))
    with pytest.raises(ValueError, match="x has shape"):
        twin.integrate(np.ones((1, 1)), puts, np.ones(2), [], 20, 2, False)

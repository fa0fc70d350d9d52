"""Monte Carlo runs: the draws are the product's own, so they are recovered from accounts that give them away."""

import math

import numpy as np
import pytest
from oracle import books
from oracle.compare import check_breakdown, check_margin, check_pnl
from oracle.files import read_pnl, write_book
from oracle.oracle import Run
from oracle.scenarios import ewma
from oracle.simulated import recover, simulated
from scipy import stats

from gpu_var.cli import main

MODEL = {"lookback": 80, "decay": 0.95, "paths": 400, "seed": 2**63 - 1}
FACTORS = ["fx:EUR", "iv:A:30d", "spot:A", "spot:B", "spot:C"]


def simulate(tmp_path, name="out", **changes):
    """P&L of the accounts of `simulated` under a Monte Carlo model."""
    config = books.config(fhs=None, holding_period_days=3, monte_carlo={**MODEL, **changes})
    folder, out = write_book(tmp_path / "book", simulated(), config), tmp_path / name
    assert main(["run", str(folder), "--out", str(out), "--pnl", "--quiet"]) == 0
    names, pnl = read_pnl(out / "pnl_monte_carlo.arrow")
    assert names == [str(path) for path in range(len(names))]
    return out, pnl


def shocks(pnl) -> np.ndarray:
    """(n_paths, n_factors), in the order of FACTORS."""
    return np.array([[x[name] for name in FACTORS] for x in recover(pnl)])


def standard(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shocks over √h·σ_{N+1}, and the Pearson correlation of r_t/σ_t that they should have."""
    history = simulated()["history"]
    found = [ewma(history[name][-81:], name == "spot:C", True, 0.95) for name in FACTORS]
    scale = np.array([math.sqrt(3) * f.sigma[-1] for f in found])
    return x / scale, np.corrcoef([np.divide(f.returns, f.sigma[:-1]) for f in found])


@pytest.mark.parametrize("both", [False, True])
def test_every_number_follows_from_the_draws(tmp_path, both):
    book = simulated()
    model = {**MODEL, "copula": "student_t", "dof": 4.0}
    config = books.config(level=0.99, measure="var", monte_carlo=model, fhs={"lookback": 60} if both else None)
    folder, out = write_book(tmp_path / "book", book, config, "parquet"), tmp_path / "out"
    assert main(["run", str(folder), "--out", str(out), "--pnl", "--quiet"]) == 0
    _, pnl = read_pnl(out / "pnl_monte_carlo.arrow")
    run = Run(book, config, recover(pnl))
    check_pnl(out, run, "monte_carlo")
    check_breakdown(out, run)
    check_margin(out, run)


def test_gaussian_draws_have_the_moments_of_the_filtered_history(tmp_path):
    n = 6000
    _, pnl = simulate(tmp_path, paths=n)
    y, correlation = standard(shocks(pnl))
    five_sigma = 5 / math.sqrt(n)
    assert np.abs(y.mean(0)).max() < five_sigma
    assert np.abs(y.std(0) - 1).max() < five_sigma / math.sqrt(2)
    assert np.abs(np.corrcoef(y.T) - correlation).max() < five_sigma
    assert np.abs(correlation[np.triu_indices(5, 1)]).max() > 0.3  # there is something to reproduce
    for column in y.T:
        assert stats.kstest(column, "norm").pvalue > 1e-5
        assert abs(np.corrcoef(column[1:], column[:-1])[0, 1]) < five_sigma


def test_student_t_divides_all_factors_of_a_path_by_one_chi_square(tmp_path):
    n, dof = 3000, 5.0
    _, gaussian = simulate(tmp_path, "gaussian", paths=n)
    _, mixed = simulate(tmp_path, "mixed", paths=n, copula="student_t", dof=dof)
    ratio = shocks(mixed) / shocks(gaussian)  # the normal draw of (seed, path, factor) is the same
    assert ratio == pytest.approx(np.broadcast_to(np.median(ratio, axis=1)[:, None], ratio.shape), rel=1e-5)
    chi_square = (dof - 2) / np.median(ratio, axis=1) ** 2
    assert stats.kstest(chi_square, "chi2", args=(dof,)).pvalue > 1e-5


def test_draws_depend_on_seed_and_path_alone(tmp_path):
    _, few = simulate(tmp_path, "few", paths=50)
    _, many = simulate(tmp_path, "many", paths=300)
    _, other = simulate(tmp_path, "other", paths=50, seed=1)
    for account, row in few.items():
        assert row == pytest.approx(many[account][:50], rel=1e-9, abs=1e-9)
        assert row != pytest.approx(other[account], rel=1e-3)


def test_more_factors_than_returns_is_no_obstacle(tmp_path):
    # Three returns, five factors: the correlation is singular, and some of its eigenvalues come out negative.
    _, pnl = simulate(tmp_path, lookback=3, paths=300)
    y = shocks(pnl)
    assert np.isfinite(y).all()
    assert np.linalg.matrix_rank(y / y.std(0), tol=1e-5 * math.sqrt(300)) == 2

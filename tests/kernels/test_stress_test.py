"""A stress test on the other backend: the house worked out by hand, and options on a surface."""

from pathlib import Path

import numpy as np
import pytest
from kernels.host.separate import SeparateDevice
from stress.stress_books import CRASH, RALLY, file_of, house, stressed

from gpu_var.stress.losses import losses_in


@pytest.mark.parametrize(("precision", "digits"), [("float64", 1e-9), ("float32", 1e-5)])
def test_both_backends(separate: SeparateDevice, tmp_path: Path, precision: str, digits: float) -> None:
    folder = house(tmp_path / "book", liquidity="40,0.01,")
    (folder / "instruments.csv").write_text(
        "instrument,kind,underlying,expiry,strike,right,exercise\n"
        "X,spot,X,,,,\nC,option,X,2026-07-01,110,call,european\nP,option,X,2026-04-01,95,put,american\n"
    )
    with (folder / "positions.csv").open("a") as file:
        file.write("alpha-1,C,-5\nbeta-house,P,-7\ngamma-house,C,5\n")
    (folder / "vols.csv").write_text("underlying,expiry,strike,iv\nX,2026-05-01,90,0.3\nX,2026-05-01,110,0.25\n")
    wild = {**CRASH, "name": "wild", "shocks": {"spot:*": -0.2, "iv:*": 0.6}, "spreads": 2.0, "adv": 0.5}
    rules = file_of(CRASH, RALLY, wild)
    expected = stressed(folder, rules)
    got = stressed(folder, rules, backend="cuda", precision=precision)
    scale = np.abs(expected.exposure.loss).max()
    np.testing.assert_allclose(got.exposure.loss, expected.exposure.loss, rtol=digits, atol=digits * scale)
    np.testing.assert_allclose(got.exposure.margin, expected.exposure.margin, rtol=digits, atol=digits * scale)
    np.testing.assert_allclose(got.waterfall.used, expected.waterfall.used, atol=10 * digits * scale)
    again = losses_in(got.exposure.measured, got.scenarios.set.shock[:2])
    np.testing.assert_allclose(again, got.exposure.loss[:, :2], atol=10 * max(digits, 1e-6) * scale)

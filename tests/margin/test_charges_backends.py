"""The charges of the CUDA backend, its kernels run on the host, are those of the reference."""

import shutil

import numpy as np
import pytest
from kernels.host.separate import SeparateDevice
from margin.charge_books import write

from gpu_var.cuda.device import use
from gpu_var.margin.charges import charges
from gpu_var.margin.requirement import measured
from gpu_var.market.checks import load

CONFIG = """level = 0.9
[fhs]
lookback = 40
[monte_carlo]
paths = 60
copula = "student_t"
dof = 5
dependence_addon = 0.25
[diversification]
[correlation_break]
windows = 3
[options]
gamma_move = 0.1
vega_points = 0.05
short_minimum = 0.5
"""
ACCOUNTS = {"a": {"A-call": -3.0, "B": 40.0, "N-put": 2.0}, "b": {"A": 10.0, "B-call": -1.0}, "none": {"A": 0.0}}
COLUMNS = {
    "diversification",
    "dependence",
    "correlation_break",
    "gamma_charge",
    "vega_charge",
    "short_option_minimum",
}


@pytest.mark.skipif(shutil.which("g++") is None, reason="a C++20 compiler runs the kernels on the host")
def test_the_charges_of_the_reference(tmp_path):
    book, config, factors, _ = load(write(tmp_path / "book", CONFIG, **ACCOUNTS))
    want = charges(measured(book, config, factors, backend="cpu", threads=1))
    with use(SeparateDevice()):
        found = charges(measured(book, config, factors, backend="cuda", threads=1))
    assert found.keys() == want.keys() == COLUMNS
    for name, amount in want.items():
        assert amount[:2].sum() > 0, name
        assert amount[2] == found[name][2] == 0
        np.testing.assert_allclose(found[name], amount, rtol=1e-9, atol=1e-9, err_msg=name)

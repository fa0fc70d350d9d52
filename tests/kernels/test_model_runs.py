"""The scenario models' settings with `--backend cuda`, the kernels on the host: the margins of the reference."""

import numpy as np
from kernels.test_whole_run import numbers, run
from oracle import books
from oracle.files import write_book

import cpu_reference
from gpu_var import cuda
from gpu_var.cuda.device import current
from gpu_var.scenarios.model import measures


def test_sub_samples_are_measured_to_the_same_bits(separate):
    losses = np.random.default_rng(0).standard_t(3, (7, 301))
    wide = current().upload(np.hstack([losses, losses]))[:, :301]  # rows lie apart, as a batch's models do
    for samples in (1, 2, 7):
        for got, want in zip(
            measures(cuda, wide, samples, 0.95), measures(cpu_reference, losses, samples, 0.95), strict=True
        ):
            np.testing.assert_array_equal(got, want)


def test_the_margins_of_the_reference(separate, tmp_path):
    fhs = {"lookback": 20, "volatility": "absolute", "horizon": "overlapping", "correlation_scaling": True}
    folder = write_book(tmp_path / "book", books.crypto(), books.config(fhs=fhs, holding_period_days=3))
    with (folder / "margin.toml").open("a") as file:
        file.write('[[stress.scenario]]\nname = "crash"\nshocks = { "spot:*" = -0.3, "iv:*" = 0.5 }\n')
    want, table = numbers(run(folder, tmp_path / "cpu", "--backend", "cpu"), "margin")
    got, other = numbers(run(folder, tmp_path / "cuda", "--backend", "cuda"), "margin")
    assert want["fhs_es"].max() > 0
    assert want["stress"].max() > 0
    scale = np.nanmax(want["margin"])
    for column in want:
        np.testing.assert_allclose(got[column], want[column], rtol=1e-9, atol=1e-12 * scale, err_msg=column)
    assert other["worst_scenario"].equals(table["worst_scenario"])

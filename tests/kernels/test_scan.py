"""A scan with `--backend cuda`, the kernels on the host: the numbers of the reference."""

import numpy as np
import pytest
from margin.scan_books import SCAN, write

import gpu_var as gv

HELD = {
    "a": {"SPOT": 1.0, "PERP": -2.0, "COIN": 30.0, "FUT": 1.0, "COINFUT": -50.0, "CALL": -3.0, "GONE": 1.0},
    "b": {"PUT": -2.0, "SMILE": 1.0, "XCALL": 4.0, "XPUT": -3.0, "BARREL": 1.0, "CPUT": -2.0},
}


@pytest.mark.parametrize("more", ["", "vol_range_in = 'absolute'\nlook_ahead_days = 1\n"])
def test_the_scan_of_the_reference(separate, tmp_path, more):
    config = gv.Config.load(write(tmp_path, SCAN + more, **HELD) / "margin.toml")
    book = gv.read_book(tmp_path, config)
    cpu, gpu = (gv.run(book, config, backend=backend) for backend in ("cpu", "cuda"))
    assert gpu.backend == "cuda"
    for name in ("margin", "scan"):
        want, got = cpu.tables[name], gpu.tables[name]
        for column in want.column_names:
            if str(want.schema.field(column).type) != "double":
                assert got[column].equals(want[column])
                continue
            # Deltas are differences over 2e-4 of the price, which leaves them four digits less.
            tolerance = 1e-6 if "delta" in column or "weighted" in column else 1e-9
            expected = want[column].to_numpy()
            if np.isfinite(expected).any():
                scale = np.nanmax(np.abs(expected))
                np.testing.assert_allclose(
                    got[column], expected, rtol=tolerance, atol=tolerance * scale, err_msg=column
                )

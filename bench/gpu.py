"""Everything that needs a GPU, in one command (bench/gpu.sh) and less than nine minutes; a JSON file and a table.

Order: device, ceilings, kernels, `pytest -m gpu`, parity on a sample of accounts, the whole house in both precisions,
the same on all CPU cores. A stage that fails is reported, and the others go on; the exit status is then 1.
"""

import argparse
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("numpy", "scipy", "pyarrow", "arrow", "pydantic", "threadpoolctl", "pytest", "hypothesis", "cupy")
START = time.perf_counter()
DEADLINE = 500.0
"""Seconds after which no stage is started."""

HOUSE = {"instruments": 1_000_000, "scenarios": 10_000, "accounts": 10_000, "positions": 10_000_000}
MANY = {"instruments": 200_000, "scenarios": 10_000, "accounts": 10_000, "positions": 2_000_000, "underlyings": 1_000}
"""A house of as many series an underlying as a stock exchange lists: what the host does for each underlying shows."""
RATED = {"instruments": 10_000, "scenarios": 10_000, "accounts": 10_000, "positions": 100_000, "underlyings": 50}
"""A house in which rates are factors, too: each scenario has early-exercise premiums of its own."""
TILES = (1024, 2048, 4096, 8192)
"""Instruments between two aggregations: sizes to compare with the one that is in use."""
SAMPLE_ACCOUNTS = 10
CPU_SCENARIOS = 512


def missing() -> list[str]:
    """What this machine lacks, a line each."""
    lines = [f"the package {name} is not installed" for name in NEEDED if importlib.util.find_spec(name) is None]
    if not lines:
        from gpu_var.cuda import unavailable  # noqa: PLC0415

        reason = unavailable()
        lines = [] if reason is None else [reason]
    return lines


def commit() -> str:
    """Of the checkout; with a + where it has changes, 'unknown' without git."""
    try:
        run = [
            subprocess.run(["git", "-C", ROOT, *a], capture_output=True, text=True, check=True).stdout.strip()
            for a in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "-uno"])
        ]
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return run[0] + ("+" if run[1] else "")


def device() -> dict[str, Any]:
    """The GPU, its driver, the host."""
    import cupy  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    from gpu_var.benchmark.machine import device_facts  # noqa: PLC0415

    smi = subprocess.run(
        ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        check=False,
    )
    out = {
        **device_facts(cupy),
        "driver": smi.stdout.strip(),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "cpu_cores": os.cpu_count(),
    }
    print(f"{out['gpu']}, {out['multiprocessors']} multiprocessors, driver {out['driver']}, CuPy {out['cupy']}")
    return out


def ceilings() -> dict[str, float]:
    """See `gpu_var.benchmark.machine.device_ceilings`."""
    import cupy  # noqa: PLC0415

    from gpu_var.benchmark.machine import device_ceilings  # noqa: PLC0415

    out = device_ceilings(cupy)
    for name, rate in out.items():
        print(f"  {name:<14} {rate / 1e12:8.2f} T{'B' if name.startswith('copy') else 'op'}/s")
    return out


def tests() -> dict[str, Any]:
    """`pytest -m gpu`; its error budgets."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "tests/kernels/test_gpu.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    print(done.stdout[-6000:] + done.stderr[-2000:])
    summary = done.stdout.strip().splitlines()[-1]
    if done.returncode:
        raise RuntimeError(f"pytest -m gpu: {summary}")
    return {"summary": summary, "budgets": re.findall(r"^.* largest error .*$", done.stdout, re.MULTILINE)}


def kernels(ceiling: dict[str, float]) -> dict[str, list[dict[str, Any]]]:
    """See `gpu_var.benchmark.functions`; both precisions."""
    import cupy  # noqa: PLC0415

    from gpu_var import cuda  # noqa: PLC0415
    from gpu_var.benchmark.functions import cases_of, measured  # noqa: PLC0415

    out = {}
    for precision in ("float64", "float32"):
        out[precision] = measured(cases_of(cuda, "cuda", precision), ceiling, cupy.cuda.Device().synchronize)
        cupy.get_default_memory_pool().free_all_blocks()
        for line in out[precision]:
            print(
                f"  {line['function']:<32} {precision} {line['seconds']['median'] * 1e3:9.3f} ms "
                f"{line['per_second'] / 1e9:9.2f} G/s  {line['share']:6.1%} of {line['binds']}"
            )
    return out


def figures(ran: Any) -> dict[str, float]:
    """Of a `gpu_var.benchmark.house.Ran`."""
    return {
        "seconds": ran.seconds,
        "sorting": ran.sorting,
        "revaluations": ran.revaluations,
        "per_second": ran.revaluations / ran.seconds,
    }


def gpu_house(whole: Any) -> dict[str, Any]:
    """The house on the GPU: the first run, with compilation, and the second; both precisions."""
    from gpu_var.benchmark import house as h  # noqa: PLC0415

    out = {}
    for precision in ("float64", "float32"):
        for state in ("cold", "warm"):
            if time.perf_counter() - START > DEADLINE:
                print(f"  {precision} {state}: skipped, no time left")
                continue
            ran = h.run(whole, "cuda", os.cpu_count() or 1, precision)
            out[f"{precision}_{state}"] = figures(ran)
            print(
                f"  {precision} {state}: {ran.seconds:.2f} s, {ran.revaluations / ran.seconds / 1e9:.2f} G/s",
                flush=True,
            )
            del ran
    return out


def tiles(whole: Any) -> dict[str, float]:
    """Seconds of a warm float64 run of the house by the number of instruments between two aggregations."""
    from importlib import import_module  # noqa: PLC0415
    from unittest.mock import patch  # noqa: PLC0415

    from gpu_var import cuda  # noqa: PLC0415
    from gpu_var.benchmark import house as h  # noqa: PLC0415

    out = {}
    for tile in TILES:
        if time.perf_counter() - START > DEADLINE:
            print(f"  {tile}: skipped, no time left")
            continue
        with patch.object(cuda, "TILE", tile), patch.object(import_module("gpu_var.cuda.revalue"), "TILE", tile):
            out[str(tile)] = h.run(whole, "cuda", os.cpu_count() or 1).seconds
        print(f"  {tile} instruments a tile: {out[str(tile)]:.2f} s", flush=True)
    return out


def profile(whole: Any) -> dict[str, Any]:
    """Where the time of a float64 run of the house goes: on the device, by kernel."""
    from gpu_var.benchmark import house as h  # noqa: PLC0415
    from gpu_var.benchmark.watched import WatchedDevice  # noqa: PLC0415
    from gpu_var.cuda import current, use  # noqa: PLC0415

    with use(WatchedDevice(current())) as watched:
        ran = h.run(whole, "cuda", os.cpu_count() or 1)
        kernels = watched.kernels()
    total = sum(kernels.values())
    print(
        f"  wall {ran.seconds:.2f} s, sorting on the host {ran.sorting:.2f} s, transfers {watched.transfers:.2f} s, "
        f"kernels {total:.2f} s"
    )
    for name, seconds in kernels.items():
        print(f"    {name:<36} {seconds * 1e3:9.1f} ms")
    return {**figures(ran), "transfers": watched.transfers, "kernels": kernels}


def parity(whole: Any) -> dict[str, float]:
    """Margin of a sample of accounts on both backends: the largest relative difference of VaR and ES."""
    import numpy as np  # noqa: PLC0415

    from gpu_var.benchmark import house as h  # noqa: PLC0415

    sample = h.in_scenarios(h.of_accounts(whole, SAMPLE_ACCOUNTS), 2000)
    expected = h.run(sample, "cpu", os.cpu_count() or 1).tail
    out = {}
    for precision in ("float64", "float32"):
        got = h.run(sample, "cuda", os.cpu_count() or 1, precision).tail
        out[precision] = max(
            float(np.abs(a / b - 1.0).max()) for a, b in ((got.var, expected.var), (got.es, expected.es))
        )
        print(f"  {precision}: largest relative difference {out[precision]:.2e}")
    if not out["float32"] <= 1e-5 or not out["float64"] <= 1e-9:
        raise RuntimeError(f"the backends disagree: {out}")
    return out


def valuation(whole: Any) -> dict[str, float]:
    """Today's prices and Greeks of every series: seconds on the GPU, warm, and on all cores; the largest differences of
    price (over spot or strike, whichever is more) and delta."""
    import numpy as np  # noqa: PLC0415

    from gpu_var.benchmark import house as h  # noqa: PLC0415

    cores = os.cpu_count() or 1
    h.value(whole, "cuda", cores)
    on_gpu, got = h.value(whole, "cuda", cores)
    on_cpu, expected = h.value(whole, "cpu", cores)
    book = whole.book
    unit = np.maximum(book.underlyings.spot[book.instruments.underlying], book.instruments.strike)
    out = {
        "cuda": on_gpu,
        "cpu": on_cpu,
        "price": float(np.nanmax(np.abs(got.price - expected.price) / unit)),
        "delta": float(np.nanmax(np.abs(got.delta - expected.delta))),
    }
    print(f"  GPU {on_gpu:.2f} s, {cores} cores {on_cpu:.2f} s; price {out['price']:.1e}, delta {out['delta']:.1e}")
    if not max(out["price"], out["delta"]) <= 1e-9:
        raise RuntimeError(f"the backends disagree: {out}")
    return out


def cpu_house(whole: Any) -> dict[str, float]:
    """The house on all CPU cores, in a part of the scenarios."""
    from gpu_var.benchmark import house as h  # noqa: PLC0415

    ran = h.run(h.in_scenarios(whole, CPU_SCENARIOS), "cpu", os.cpu_count() or 1)
    rate = ran.revaluations / ran.seconds / 1e6
    print(f"  {CPU_SCENARIOS} scenarios, {os.cpu_count()} cores: {ran.seconds:.1f} s, {rate:.0f} M/s")
    return {**figures(ran), "scenarios": CPU_SCENARIOS}


def main() -> int:
    """Run the stages."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--shrink", type=int, default=1, help="divide the house by this")
    shrink = parser.parse_args().shrink
    lacking = missing()
    if lacking:
        print("bench/gpu.sh needs a CUDA device; missing here:", *lacking, sep="\n  ")
        return 1
    result: dict[str, Any] = {"commit": commit(), "date": datetime.now(UTC).isoformat(timespec="seconds"), "failed": {}}

    def stage(name: str, f: Callable[..., Any], *args: Any) -> Any:
        at = time.perf_counter() - START
        print(f"[{at:5.0f} s] {name}", flush=True)
        if at > DEADLINE:
            result["failed"][name] = "skipped: no time left"
        elif any(a is None for a in args):
            result["failed"][name] = "skipped: what it needs failed"
        else:
            try:
                result[name] = f(*args)
                return result[name]
            except Exception as error:
                traceback.print_exc()
                result["failed"][name] = f"{type(error).__name__}: {error}"
        return None

    stage("device", device)
    stage("kernels", kernels, stage("ceilings", ceilings))
    stage("tests", tests)
    size = {name: max(20, n // shrink) for name, n in HOUSE.items()}
    from gpu_var.benchmark.house import house  # noqa: PLC0415

    whole = stage("book", lambda: house(**size))
    result["book"] = size
    stage("parity", parity, whole)
    stage("house", gpu_house, whole)
    stage("tiles", tiles, whole)
    stage("profile", profile, whole)
    stage("valuation", valuation, whole)
    stage("cpu", cpu_house, whole)
    for kind, sizes, rates in (("of_many", MANY, False), ("with_rates", RATED, True)):
        size = {name: max(20, n // shrink) for name, n in sizes.items()}
        whole = stage(f"book_{kind}", lambda size=size, rates=rates: house(**size, rates=rates))
        result[f"book_{kind}"] = size
        stage(f"house_{kind}", gpu_house, whole)
    stage("parity_with_rates", parity, whole)

    slug = re.sub(r"\W+", "-", result.get("device", {}).get("gpu", "gpu")).strip("-").lower()
    path = ROOT / "bench" / "results" / f"{slug}-{result['commit'].rstrip('+')}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"[{time.perf_counter() - START:5.0f} s] written: {path.relative_to(ROOT)}")
    for name, reason in result["failed"].items():
        print(f"FAILED {name}: {reason}")
    return 1 if result["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""gpu-var through its Python API. Its book is a folder, which the driver writes beside the case."""

import json
import platform
import sys
import time
from pathlib import Path

BEGAN = time.perf_counter()

import numpy as np  # noqa: E402
from protocol import peak_mb, timed  # noqa: E402

import gpu_var as gv  # noqa: E402

request = json.loads(Path(sys.argv[1]).read_text())
threads = request["threads"]
gv.run  # noqa: B018 - what is imported on first use is no part of the reading
imported = time.perf_counter()


def read(folder: str) -> tuple[gv.Book, gv.Config]:
    """A book and its configuration."""
    return gv.read_book(folder), gv.Config.load(Path(folder) / "margin.toml")


book, config = read(request["book"])
started = time.perf_counter()

reply = {
    "peer": "gpu-var",
    "version": gv.__version__,
    "python": platform.python_version(),
    "import_s": imported - BEGAN,
    "start_s": started - imported,
}
if request["task"] == "answer":
    run = gv.run(book, config, backend="cpu", threads=threads)
    base = np.asarray(gv.price(book, config)["price"])
    with Path(request["matrix"]).open("wb") as stream:
        base.astype(np.float64).tofile(stream)
        np.ascontiguousarray(run.pnl["fhs"]).tofile(stream)
elif request["task"] == "time":
    stage: list[float] = []
    without: list[tuple[float, float]] = []
    short = read(request["without"]) if "without" in request else None

    def work() -> None:
        stage.append(gv.run(book, config, backend="cpu", threads=threads).timings["revalue"])

    def rest() -> None:
        """The same of a few scenarios, in turn with the other: what is left of the difference is revaluation."""
        if short is not None:
            begin, spent = time.perf_counter(), time.process_time()
            gv.run(*short, backend="cpu", threads=threads)
            without.append((time.perf_counter() - begin, time.process_time() - spent))

    reply["seconds"], reply["cpu"] = timed(work, request["runs"], request["seconds"], rest)
    runs = len(reply["seconds"])
    reply["revalue"] = stage[-runs:]
    if short is not None:
        reply["without"], reply["without_cpu"] = map(list, zip(*without[-runs:], strict=True))
else:
    run = gv.run(book, config, backend="cpu", threads=threads)
    reply["pnl"] = run.pnl["fhs"][0].tolist()
    reply["var"] = float(run.margin["fhs_var"][0].as_py())
reply["peak_mb"] = peak_mb()
Path(request["reply"]).write_text(json.dumps(reply))

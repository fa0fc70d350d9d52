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
config = gv.Config.load(Path(request["book"]) / "margin.toml")
book = gv.read_book(request["book"])
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

    def work() -> None:
        stage.append(gv.run(book, config, backend="cpu", threads=threads).timings["revalue"])

    reply["seconds"], reply["cpu"] = timed(work, request["runs"], request["seconds"])
    reply["revalue"] = stage[-len(reply["seconds"]) :]
else:
    run = gv.run(book, config, backend="cpu", threads=threads)
    reply["pnl"] = run.pnl["fhs"][0].tolist()
    reply["var"] = float(run.margin["fhs_var"][0].as_py())
reply["peak_mb"] = peak_mb()
Path(request["reply"]).write_text(json.dumps(reply))

"""Each function of a backend on its own: elements a second, and the share of the ceiling that binds it by count."""

from gpu_var.backend import load_backend
from gpu_var.benchmark import functions, machine
from gpu_var.cuda.device import current, unavailable


class Functions:
    """Revaluation in one call, aggregation of a tile, tails of accounts, correlated draws, the volatility filter.

    On the CPU they run on one core; the CUDA backend is measured where there is a GPU.
    """

    params = (
        ["cpu", "cuda float64", "cuda float32"],
        [
            "revalue european",
            "revalue bachelier",
            "revalue american",
            "aggregate",
            "tail of 10,000",
            "tail of 1,000,000",
            "correlated normals, 64 factors",
            "correlated normals, 256 factors",
            "filter",
        ],
    )
    param_names = ("backend", "function")
    timeout = 900

    def setup_cache(self) -> dict[str, dict[str, dict[str, float]]]:
        out = {
            "cpu": by_name(functions.measured(functions.cases_of(load_backend("cpu"), "cpu"), machine.host_ceilings()))
        }
        if unavailable() is None:
            xp, cuda = current().xp, load_backend("cuda")
            ceilings, wait = machine.device_ceilings(xp), xp.cuda.Device().synchronize
            for precision in ("float64", "float32"):
                cases = functions.cases_of(cuda, "cuda", precision)
                out[f"cuda {precision}"] = by_name(functions.measured(cases, ceilings, wait))
        return out

    setup_cache.timeout = 900

    def setup(self, measured: dict[str, dict[str, dict[str, float]]], backend: str, function: str) -> None:
        if function not in measured.get(backend, {}):
            raise NotImplementedError  # asv's way to leave a combination out

    def track_rate(self, measured: dict[str, dict[str, dict[str, float]]], backend: str, function: str) -> float:
        """Elements a second: revaluations, holdings × scenarios, losses, numbers, returns."""
        return measured[backend][function]["per_second"] / 1e6

    def track_share(self, measured: dict[str, dict[str, dict[str, float]]], backend: str, function: str) -> float:
        """Of the ceiling."""
        return 100.0 * measured[backend][function]["share"]

    track_rate.unit, track_share.unit = "million/s", "%"


def by_name(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """The rows by function."""
    return {str(row["function"]): row for row in rows}

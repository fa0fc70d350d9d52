"""Contract section 4: the tail of a list of losses."""

import math


def tail_count(n_losses: int, level: float) -> float:
    """n = N(1 − level), replaced by the nearest integer where within 1e-9·max(1, n)."""
    n = n_losses * (1 - level)
    return float(round(n)) if abs(n - round(n)) <= 1e-9 * max(1.0, n) else n


def measures(losses: list[float], level: float) -> dict[str, float]:
    """var, es, worst and the standard errors of the first two."""
    ordered = sorted(losses, reverse=True)
    n_losses = len(ordered)
    n = tail_count(n_losses, level)
    k = max(1, math.ceil(n))
    var = ordered[k - 1]
    if n < 1:
        es = ordered[0]
    else:
        whole = math.floor(n)
        es = (math.fsum(ordered[:whole]) + ((n - whole) * ordered[whole] if n > whole else 0.0)) / n
    tail = ordered[: math.ceil(n)]
    mean = math.fsum(tail) / len(tail)
    variance = math.fsum((loss - mean) ** 2 for loss in tail) / len(tail)
    spread = math.sqrt(n_losses * level * (1 - level))
    low = min(max(math.floor(k - spread), 1), n_losses)
    high = min(max(math.ceil(k + spread), 1), n_losses)
    return {
        "var": var,
        "es": es,
        "worst": ordered[0],
        "var_se": abs(ordered[high - 1] - ordered[low - 1]) / 2,
        "es_se": math.sqrt((variance + level * (es - var) ** 2) / n),
    }

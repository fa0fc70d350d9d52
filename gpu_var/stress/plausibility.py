"""How likely a shock is, from its distance to today's market, and the words for it."""

from dataclasses import dataclass

from scipy import stats

from gpu_var.tables.book import F8

YEAR = 250
"""Rows of history that make a year of words."""

BEYOND = 8.0
"""Standard deviations beyond which a normal law's odds say nothing any more."""


RAREST = 1e12
"""Years beyond which a number says no more."""


@dataclass(frozen=True)
class Plausibility:
    """The odds of a shock over one holding period."""

    distance: float  # d: Mahalanobis, in standard deviations
    dimensions: int  # of the factors' covariance
    tail: float  # Φ(−d): of a move at least as far along the shock's own direction
    beyond: float  # P(χ²_r > d²): of any move at least as far from today
    dof: float | None  # of Student's t, where the model has one
    tail_t: float | None  # as `tail` and `beyond`, for the multivariate t of the same covariance
    beyond_t: float | None
    words: str


def plausibility(distance: float, dimensions: int, dof: float | None = None, days: int = 1) -> Plausibility:
    """The odds of a shock at a Mahalanobis distance.

    Along one direction the standardised move is normal, so that a move at least so far has the odds Φ(−d): what the
    first-order reliability method takes for the probability of failure (Hasofer & Lind 1974). In r dimensions d² is
    χ²_r. For the multivariate t of the same covariance, t_ν·√((ν−2)/ν) takes the place of the normal and
    d²/r·ν/(ν−2) is F(r, ν).

    Args:
        distance: d ≥ 0.
        dimensions: r ≥ 1.
        dof: ν > 2 of the copula "student_t".
        days: rows of history that a move takes.
    """
    tail = float(stats.norm.sf(distance))
    beyond = float(stats.chi2.sf(distance**2, dimensions))
    tail_t = beyond_t = None
    if dof is not None:
        stretch = dof / (dof - 2.0)
        tail_t = float(stats.t.sf(distance * stretch**0.5, dof))
        beyond_t = float(stats.f.sf(distance**2 / dimensions * stretch, dimensions, dof))
    words = _words(distance, tail, tail_t, dof, days)
    return Plausibility(distance, dimensions, tail, beyond, dof, tail_t, beyond_t, words)


def _words(distance: float, tail: float, tail_t: float | None, dof: float | None, days: int) -> str:
    text = f"a move of {distance:.2f} standard deviations: {one_in(tail, days)} if moves are normal"
    if distance > BEYOND:
        text += ", so rare that this law is no guide"
    if tail_t is not None:
        text += f"; {one_in(tail_t, days)} under Student's t with {dof:g} degrees of freedom"
    return text


def one_in(probability: float, days: int = 1) -> str:
    """What a probability a period means: "a one-in-1,350-day move (5.4 years)", a year being 250 days.

    Args:
        probability: that a period of `days` rows of history brings such a move.
        days: of a period.
    """
    if probability <= 0.0:
        return "a move that never comes"
    every = days / probability
    years = every / YEAR
    if years > RAREST:
        return "a move rarer than once in a trillion years"
    if years >= 1e6:
        return f"a one-in-{_large(years)}-year move"
    if years >= 1.0:
        return f"a one-in-{_rounded(every)}-day move ({_rounded(years)} year{'' if _rounded(years) == '1' else 's'})"
    return f"a one-in-{_rounded(every)}-day move"


def _rounded(number: float) -> str:
    """Three significant digits, in full."""
    if number >= 100.0:
        digits = 10.0 ** (len(str(int(number))) - 3)
        return f"{round(number / digits) * digits:,.0f}"
    return f"{number:.3g}"


def _large(number: float) -> str:
    """A number from a million to a trillion in words."""
    size, word = (1e9, "billion") if number >= 1e9 else (1e6, "million")
    return f"{_rounded(number / size)}-{word}"


def sigmas(shock: F8, deviation: F8) -> F8:
    """(F,) a shock in each factor's own standard deviations; 0 for a factor that does not move."""
    out: F8 = shock / deviation.clip(min=1e-300)
    out[deviation <= 0.0] = 0.0
    return out

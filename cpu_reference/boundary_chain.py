"""Exercise boundaries of chains: puts of one expiry, rate and dividend yield that differ in volatility alone.

Their boundaries are one smooth function of ln σ. It is solved for at the extrema of a Chebyshev polynomial in ln σ over
the chain's range, each twice as fine as the last, and interpolated between them.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cpu_reference.boundary import UPPER, Puts, SolveBoundary, boundary_at_expiry, solve_boundary
from cpu_reference.chebyshev import basis, extrema, extrema_analysis

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.intp]
Bool = npt.NDArray[np.bool_]

_COUNTS = (5, 9, 17, 33)  # volatilities solved for; one in two of them is among those of half as many
_PUTS_PER_NODE = 2  # from which on a chain is worth its interpolation
_TOLERANCE = 1e-7  # of the bound below; measured, the premium's error is 1e-3 of it and less
_COARSE = 1e3  # times that: error of the interpolant through half the nodes at the others
_ROWS = 2048  # whose nodes' values are gathered at once
_NEAR = 0.1  # of h: how far a bump may move the boundary at expiry
_MARGIN = 2e-3  # of ln σ at either end of the range, so that it covers bumped volatilities


class Chains(NamedTuple):
    """Interpolants of ln h² by ln σ of one count of nodes m; the rows are the puts of these chains, by chain."""

    rows: I8  # (k,) which put
    chain: I8  # (k,)
    position: F8  # (k,) of ln σ in the chain's range, [−1, 1]
    puts: Puts  # (n_chains, m) at the nodes
    values: F8  # (n_chains, m, degree), ln h²

    def squared(self, part: slice) -> F8:
        """h² (len(part), degree) of the boundaries of ``rows[part]``, as from ``solve_boundary``."""
        m, degree = self.values.shape[1:]
        at = basis(self.position[part], m) @ extrema_analysis(m)
        chain = self.chain[part]
        out = np.empty((len(chain), degree))
        for start in range(0, len(chain), _ROWS):
            rows = slice(start, start + _ROWS)
            out[rows] = np.matmul(at[rows, None, :], self.values[chain[rows]])[:, 0]
        return np.asarray(np.exp(out, out=out))

    def moved(
        self,
        rows: I8,
        rate: F8,
        dividend: F8,
        vol: F8,
        points: int,
        block: int,
        solve: SolveBoundary = solve_boundary,
    ) -> "Chains":
        """The same chains with rates, dividend yields and volatilities (k,) a little different; ``rows`` for theirs.

        Left out are the chains that do not converge, or whose puts have no longer one rate and one dividend yield.
        """
        count, m, degree = self.values.shape
        first = np.searchsorted(self.chain, np.arange(count))
        puts = self.puts._replace(rate=np.repeat(rate[first], m), dividend=np.repeat(dividend[first], m))
        one = (rate == rate[first][self.chain]) & (dividend == dividend[first][self.chain])
        kept = np.bincount(self.chain, ~one, minlength=count) == 0
        values = self.values
        if (puts.rate != self.puts.rate).any() or (puts.dividend != self.puts.dividend).any():
            guess = np.exp(values.reshape(-1, degree))
            values, solved = _solve(puts, (count, m), degree, points, block, solve, guess)
            # Where the boundary at expiry leaves the strike the interpolant may take more nodes than it has.
            start, before = (boundary_at_expiry(p.rate, p.dividend, UPPER) for p in (puts, self.puts))
            near = np.abs(start - before) <= _NEAR * np.sqrt(guess[:, 0])
            kept &= solved & near.reshape(count, m).all(axis=1)
        high, low = np.log(self.puts.vol.reshape(count, m)[self.chain][:, [0, -1]].T)
        position = (2 * np.log(vol) - high - low) / (high - low)
        at = np.flatnonzero(kept[self.chain])
        return Chains(rows[at], self.chain[at], position[at], puts, values)


class _Groups(NamedTuple):
    """Puts (n,) in the order of their group and, within it, of σ; the rest (n_groups,)."""

    order: I8
    first: I8
    size: I8
    centre: F8  # of ln σ
    half: F8

    def take(self, which: I8) -> "_Groups":
        return _Groups(self.order, self.first[which], self.size[which], self.centre[which], self.half[which])


def _groups(puts: Puts, owner: I8 | None) -> _Groups:
    own = np.zeros(len(puts.vol), dtype=np.intp) if owner is None else owner
    order = np.lexsort((puts.vol, puts.dividend, puts.rate, puts.years, own))
    key = np.stack([own, puts.years, puts.rate, puts.dividend])[:, order]
    first = np.flatnonzero(np.concatenate([[True], (key[:, 1:] != key[:, :-1]).any(axis=0)]))
    size = np.diff(np.append(first, len(order)))
    low, high = np.log(puts.vol[order[first]]), np.log(puts.vol[order[first + size - 1]])
    return _Groups(order, first, size, (low + high) / 2, (high - low) / 2 + _MARGIN)


def _at(puts: Puts, groups: _Groups, t: F8) -> Puts:
    """Puts (n_groups·len(t),) of the groups at places t of their ranges of ln σ."""
    vol = np.exp(groups.centre[:, None] + groups.half[:, None] * t).ravel()
    return puts.take(np.repeat(groups.order[groups.first], len(t)))._replace(vol=vol)


def _solve(
    puts: Puts,
    shape: tuple[int, int],
    degree: int,
    points: int,
    block: int,
    solve: SolveBoundary,
    guess: F8 | None = None,
) -> tuple[F8, Bool]:
    """ln h² (*shape, degree) of puts (shape[0]·shape[1],), and whether all of a chain are solved, (shape[0],)."""
    squared, solved = np.empty((len(puts.vol), degree)), np.empty(len(puts.vol), dtype=bool)
    for start in range(0, len(puts.vol), block):
        rows = np.arange(start, min(start + block, len(puts.vol)))
        begin = None if guess is None else guess[rows]
        squared[rows], solved[rows] = solve(puts.take(rows), UPPER, degree, points, begin)
    return np.log(squared).reshape(*shape, degree), np.asarray(solved.reshape(shape).all(axis=1))


def _weight(puts: Puts, groups: _Groups, values: F8, t: F8) -> F8:
    """Bound on the premium's error by that of ln h² (n_groups, degree): |∂premium/∂h| ≤ (|r| + |q|)·√T/σ about."""
    rate, dividend, _, years = puts.take(groups.order[groups.first])
    flux = ((np.abs(rate) + np.abs(dividend)) * np.sqrt(years))[:, None] / np.exp(
        groups.centre[:, None] + groups.half[:, None] * t
    )
    return np.asarray((0.5 * np.exp(0.5 * values) * flux[..., None]).max(axis=1))


def interpolate_chains(
    puts: Puts,
    degree: int,
    points: int,
    block: int,
    solve: SolveBoundary = solve_boundary,
    owner: I8 | None = None,
) -> list[Chains]:
    """Chains among puts (n,) with one boundary, one element for each count of nodes.

    A put in none of them is to be solved by itself: its chain is too short, or did not converge. An interpolant is
    accepted where its last coefficients are negligible and the one through half its nodes agrees at the others.
    degree, points: as for ``solve_boundary``; ``solve`` is it or its twin, and solves ``block`` puts at once. Puts of
    different ``owner`` (n,) share no chain.
    """
    accepted: list[Chains] = []
    if len(puts.vol) < _PUTS_PER_NODE * _COUNTS[0]:
        return accepted
    groups = _groups(puts, owner)
    groups = groups.take(np.flatnonzero((groups.size >= _PUTS_PER_NODE * _COUNTS[0]) & np.isfinite(groups.half)))
    coarse = (_COUNTS[0] + 1) // 2
    values, solved = _solve(
        _at(puts, groups, extrema(coarse)), (len(groups.first), coarse), degree, points, block, solve
    )
    for count in _COUNTS:
        going = np.flatnonzero(solved & (groups.size >= _PUTS_PER_NODE * count))
        if not len(going):
            break
        groups, t = groups.take(going), extrema(count)
        fresh, solved = _solve(_at(puts, groups, t[1::2]), (len(going), coarse - 1), degree, points, block, solve)
        guess = basis(t[1::2], coarse) @ (extrema_analysis(coarse) @ values[going])
        values = np.insert(values[going], np.arange(1, coarse), fresh, axis=1)
        coefficients = extrema_analysis(count) @ values
        weight = _weight(puts, groups, values, t)
        last = (np.abs(coefficients[:, -2:]).max(axis=1) * weight).max(axis=1)
        between = (np.abs(guess - fresh).max(axis=1) * weight).max(axis=1)
        done = solved & (last <= _TOLERANCE) & (between <= _COARSE * _TOLERANCE)
        if done.any():
            accepted.append(_members(puts, groups.take(np.flatnonzero(done)), values[done]))
        groups, values, solved, coarse = groups.take(np.flatnonzero(~done)), values[~done], solved[~done], count
    return accepted


def _members(puts: Puts, groups: _Groups, values: F8) -> Chains:
    chain = np.repeat(np.arange(len(groups.size)), groups.size)
    start = groups.first - np.cumsum(groups.size) + groups.size
    rows = groups.order[np.arange(len(chain)) + start[chain]]
    position = (np.log(puts.vol[rows]) - groups.centre[chain]) / groups.half[chain]
    return Chains(rows, chain, position, _at(puts, groups, extrema(values.shape[1])), values)

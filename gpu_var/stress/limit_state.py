"""How far a house is from exhausting a layer of its default resources, in any joint move of the factors."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from gpu_var.stress.cover import cover
from gpu_var.stress.house import House
from gpu_var.stress.linearised import Linearised
from gpu_var.stress.losses import Exposure, LossFunction
from gpu_var.stress.pledged import collateral_in
from gpu_var.stress.shortfall import Shortfall, shortfalls
from gpu_var.stress.waterfall import LAYERS, Waterfall, groups_of, waterfall
from gpu_var.tables.book import F8, I8
from gpu_var.tables.config_stress_test import Resources

AT_A_TIME = 1 << 24
"""Accounts × shocks whose losses are held at a time."""

BREAKABLE = LAYERS[:-1]
"""The layers that can be exhausted, in the order in which losses go through them."""


class LimitState:
    """Gaps of many shocks at once, by full revaluation of every account.

    A layer is exhausted where the groups of Cover N, the N with the largest shortfalls, default together and something
    is left that neither it nor any layer before it pays. The gap is what the layers from "own" up to it would still
    have paid: negative is what is left. As long as no defaulter is beyond its own contribution it is larger by the
    least that any member is away from that, so that it falls towards a break also where nothing is lost yet.
    """

    def __init__(self, exposure: Exposure, house: House, rules: Resources, deviation: F8 | None = None) -> None:
        self._exposure, self._house, self._rules = exposure, house, rules
        self._sound = np.flatnonzero(~exposure.broken)
        self._losses = LossFunction(exposure.measured, self._sound)
        self._near = None if deviation is None else Linearised(exposure.measured, self._sound, deviation)
        self._owner = house.member_of[self._sound]
        self._own = house.house[self._sound]
        self.revaluations = 0

    def all_gaps(self, shock: F8) -> F8:
        """(n_layers, k) the gaps of all of `BREAKABLE`: positive where a layer holds, else minus what is left.

        Args:
            shock: (k, F) as the engine takes them.
        """
        step = max(1, AT_A_TIME // max(1, len(self._exposure.margin)))
        parts = [self._gaps(*self._accounts(shock[k : k + step])) for k in range(0, len(shock), step)]
        return np.concatenate(parts, axis=1) if parts else np.zeros((len(BREAKABLE), 0))

    @property
    def revaluations_around(self) -> int:
        """How many revaluations `around` takes a shock."""
        return 0 if self._near is None else self._near.revaluations

    def around(self, shock: F8, step: F8) -> F8:
        """(n_layers, k, 1 + 2·m) gaps at shocks, a step further and a step back, the losses there to first order.

        Args:
            shock: (k, F).
            step: (m, F) small moves.
        """
        assert self._near is not None
        together = max(1, AT_A_TIME // max(1, self._near.size))
        if len(shock) > together:
            parts = [self.around(shock[k : k + together], step) for k in range(0, len(shock), together)]
            return np.concatenate(parts, axis=1)
        self.revaluations += len(shock) * self._near.revaluations
        loss, slopes = self._near(shock)
        moves = np.concatenate([np.zeros((1, step.shape[1])), step, -step])
        out = np.empty((len(BREAKABLE), len(shock), len(moves)))
        width = max(1, AT_A_TIME // max(1, len(loss)))
        for i, slope in enumerate(slopes):
            by_step = slope @ step.T  # (n, m)
            change = np.concatenate([np.zeros((len(loss), 1)), by_step, -by_step], axis=1)
            for part in (slice(first, first + width) for first in range(0, len(moves), width)):
                close = loss[:, i : i + 1] + change[:, part]
                out[:, i, part] = self._gaps(close, self._before(shock[i] + moves[part], close.shape))
        return out

    def defaults(self, shock: F8) -> tuple[Shortfall, Waterfall]:
        """What a few shocks do: the members' shortfalls, and the waterfall of Cover N's groups."""
        loss, before = self._accounts(shock)
        return self._defaults(loss, before)

    def _defaults(self, loss: F8, before: F8) -> tuple[Shortfall, Waterfall]:
        lost = shortfalls(loss, before, self._part(), self._rules)
        n = self._rules.cover
        return lost, waterfall(lost, self._house, self._rules, groups_of(cover(lost.group, n), self._house, n))

    def _part(self) -> House:
        """The house with the accounts that have not failed alone."""
        return replace(self._house, member_of=self._owner, house=self._own)

    def _accounts(self, shock: F8) -> tuple[F8, F8]:
        """(n, k) losses, and what stands before them."""
        self.revaluations += len(shock)
        loss = self._losses(shock)
        return loss, self._before(shock, loss.shape)

    def _before(self, shock: F8, shape: tuple[int, ...]) -> F8:
        """(n, k) what stands before losses."""
        margin = np.broadcast_to(self._exposure.margin[self._sound, None], shape)
        if self._rules.against == "margin":
            return margin
        m = self._exposure.measured
        posted = collateral_in(m.book, m.config, m.factors, shock)[0][self._sound]
        return posted if self._rules.against == "collateral" else np.maximum(margin, posted)

    def _gaps(self, loss: F8, before: F8) -> F8:
        """(n_layers, k) from (n, k) losses and what stands before them."""
        lost, falls = self._defaults(loss, before)
        away = self._away(loss, before, lost)  # (n_members, k)
        paid_in = self._house.contribution[:, None]
        out = np.empty((len(BREAKABLE), loss.shape[1]))
        out[0] = np.where(falls.used[1:].sum(axis=0) > 0.0, -falls.used[1:].sum(axis=0), away.min(axis=0))
        beyond = falls.used[2:].sum(axis=0)
        slack = np.where(beyond > 0.0, 0.0, (away + paid_in).min(axis=0))
        resources = np.zeros(loss.shape[1])
        for row in range(1, len(BREAKABLE)):
            resources = resources + (falls.available[row] if row > 1 else 0.0)
            left = falls.used[row + 1 :].sum(axis=0)
            holds = np.maximum(resources - np.minimum(beyond, resources) + slack, np.finfo(np.float64).tiny)
            out[row] = np.where(left > 0.0, -left, holds)
        return out

    def _away(self, loss: F8, before: F8, lost: Shortfall) -> F8:
        """(n_members, k) how far each member is from a shortfall; minus its shortfall where it has one.

        Infinite for a member of which no account has losses or margin: nothing can break there.
        """
        idle = (loss == 0.0) & (before == 0.0)
        left = np.where(idle, np.inf, np.maximum(before, 0.0) - loss)
        own = np.flatnonzero(self._own)
        n = len(self._house.name)
        shape = (n, len(own))
        add = sparse.csr_array((np.ones(len(own)), (self._owner[own], np.arange(len(own)))), shape=shape)
        house = add @ np.where(idle, 0.0, left)[own]
        out = np.where((add @ np.where(idle, 0.0, 1.0)[own]) > 0.0, house, np.inf)
        spare = np.maximum(house, 0.0) if self._rules.house_covers_clients else 0.0
        clients = np.flatnonzero(~self._own)
        if len(clients):
            out = np.minimum(out, spare + self._clients(np.where(idle, np.inf, left)[clients], self._owner[clients]))
        out = np.where(lost.member > 0.0, -lost.member, np.maximum(out, 0.0))
        return np.asarray(np.where(out == 0.0, np.finfo(np.float64).tiny, out))

    def _clients(self, left: F8, owner: I8) -> F8:
        """(n_members, k) what the nearest client, or all of them together, has left; minus what all lack."""
        n = len(self._house.name)
        shape = (n, len(owner))
        add = sparse.csr_array((np.ones(len(owner)), (owner, np.arange(len(owner)))), shape=shape)
        known = np.where(np.isfinite(left), left, 0.0)
        some = (add @ np.isfinite(left).astype(np.float64)) > 0.0
        if self._rules.clients == "omnibus":
            return np.asarray(np.where(some, add @ known, np.inf))
        lacking = add @ np.maximum(-known, 0.0)
        order = np.argsort(owner, kind="stable")
        least = np.full((n, left.shape[1]), np.inf)
        members, begin = np.unique(owner[order], return_index=True)
        least[members] = np.minimum.reduceat(left[order], begin, axis=0)
        return np.asarray(np.where(lacking > 0.0, -lacking, least))

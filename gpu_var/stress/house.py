"""The clearing house: its members, their groups, and which accounts each of them answers for."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpu_var.tables.book import F8, I8, Accounts, Book, Bool
from gpu_var.tables.findings import listed


@dataclass(frozen=True)
class House:
    """Members and groups ascending by their UTF-8 bytes; accounts in the order of the book."""

    name: tuple[str, ...]  # (n_members,)
    group: I8  # (n_members,) row of `group_name`: its members default together
    group_name: tuple[str, ...]  # (n_groups,)
    contribution: F8  # (n_members,) to the default fund, base currency
    member_of: I8  # (n_accounts,) row of `name`
    house: Bool  # (n_accounts,): the member's own account, not a client's
    positions: Bool  # (n_members,): one of its accounts holds something

    @property
    def obliged(self) -> Bool:
        """(n_members,): holds something, or has contributed. Who does neither has no part in the default fund."""
        return self.positions | (self.contribution > 0.0)

    def members_of(self, names: list[str] | tuple[str, ...]) -> Bool:
        """(n_members,): whether a member, or its group, is among the names. A group's name means all its members.

        Raises:
            KeyError: a name that is neither a group nor a member.
        """
        out = np.zeros(len(self.name), dtype=np.bool_)
        for name in names:
            if name in self.group_name:
                out |= self.group == self.group_name.index(name)
            elif name in self.name:
                out[self.name.index(name)] = True
            else:
                raise KeyError(name)
        return out


def house_of(book: Book) -> House:
    """The members of a book: those of the table `members`, and all others that answer for an account.

    A member without a row of its own is a group of its own and has contributed nothing. So is an account without a
    member, which counts as a member named like it (with a prime where a member has that name).
    """
    known, accounts = book.members, book.accounts
    named = pc.unique(pa.concat_arrays([known.name, pc.unique(accounts.member.drop_null())]))
    alone = _alone(accounts, named)
    owner = accounts.member
    if len(alone):
        owner = pc.replace_with_mask(owner, owner.is_null(), alone)
    name = _ascending(pa.concat_arrays([named, alone]))
    group = pc.coalesce(known.group.take(pc.index_in(name, known.name)), name)
    group_name = _ascending(pc.unique(group))
    contribution = np.zeros(len(name))
    contribution[_rows(known.name, name)] = known.contribution
    member_of = _rows(owner, name)
    positions = np.zeros(len(name), dtype=np.bool_)
    positions[member_of[book.positions.account[book.positions.quantity != 0]]] = True
    return House(
        tuple(name.to_pylist()),
        _rows(group, group_name),
        tuple(group_name.to_pylist()),
        contribution,
        member_of,
        accounts.house,
        positions,
    )


def notes_of(book: Book, house: House) -> list[str]:
    """What was assumed of members: which stand in no row of `members`, and which accounts have none."""
    notes = []
    ownerless = np.asarray(book.accounts.member.is_null())
    alone = [house.name[m] for m in house.member_of[ownerless].tolist()]
    if alone:
        notes.append(f"accounts without a member, each a member of its own: {listed(alone)}")
    told = {*book.members.name.to_pylist(), *alone}
    others = [one for one in house.name if one not in told]
    if others:
        table = book.label("members") if "members" in book.files else "the book has no table members"
        notes.append(f"members without a row of members, with no contribution and no group ({table}): {listed(others)}")
    places = {one: house.group_name[g] for one, g in zip(house.name, house.group.tolist(), strict=True)}
    odd = [one for one in house.group_name if places.get(one, one) != one]
    if odd:
        notes.append(f"groups named like a member of another group; their names mean the group: {listed(odd)}")
    return notes


def _alone(accounts: Accounts, taken: pa.StringArray) -> pa.StringArray:
    """The members that accounts without a member are: named like them, and like no other member."""
    names = accounts.name.filter(accounts.member.is_null())
    clash = np.flatnonzero(pc.is_in(names, taken))
    if not len(clash):
        return names
    known, out = {*taken.to_pylist(), *names.to_pylist()}, names.to_pylist()
    for row in clash.tolist():
        while out[row] in known:
            out[row] += "'"
        known.add(out[row])
    return pa.array(out, pa.string())


def _ascending(names: pa.StringArray) -> pa.StringArray:
    return names.take(pc.sort_indices(names.cast(pa.binary())))


def _rows(names: pa.StringArray, known: pa.StringArray) -> I8:
    """(n,) the place of each name among the known ones."""
    return np.asarray(pc.index_in(names, known), dtype=np.int64)

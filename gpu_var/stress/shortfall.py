"""What members lose beyond what stands before their losses, the house's and the clients' accounts kept apart."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from gpu_var.stress.house import House
from gpu_var.tables.book import F8, Bool
from gpu_var.tables.config_stress_test import Resources

BLOCK = 128
"""Scenarios at a time: temporary arrays are (n_accounts, BLOCK)."""


@dataclass(frozen=True)
class Shortfall:
    """All (n_members, n_scenarios) in base currency but `group`, which is (n_groups, n_scenarios)."""

    house_loss: F8  # net over the member's house accounts, gains negative
    client_loss: F8  # its clients' losses, floored at 0 account by account (omnibus: over all of them together)
    loss: F8  # what its default brings: max(0, house_loss) + client_loss
    margin: F8  # what stands before it: margin or collateral, and the house's gain where its clients may use it
    house: F8  # the house's loss beyond what stands before it
    client: F8  # the clients' losses beyond what stands before them, and beyond what the house may spare
    member: F8  # house + client
    group: F8  # the members' added up: affiliates default together, and none covers another


def shortfalls(loss: F8, before: F8, house: House, rules: Resources, *, failed: Bool | None = None) -> Shortfall:
    """Losses beyond margin (or collateral), member by member.

    The house's accounts net with each other. Clients' accounts stand alone, each with its own margin, or net with each
    other where `clients` is "omnibus". What the house has left, max(0, margin − loss), covers its clients' shortfalls
    where `house_covers_clients`; a client's gain or margin covers no loss of the house, nor of another member (EMIR
    article 39; CPMI-IOSCO principle 14). An account that owes collateral (`before` < 0) has lost that as well.

    Args:
        loss: (n_accounts, n_scenarios), positive a loss.
        before: (n_accounts, n_scenarios), what stands before each account's loss.
        failed: (n_accounts,), accounts that are left out.
    """
    n_members, n_scenarios = len(house.name), loss.shape[1]
    out = {name: np.zeros((n_members, n_scenarios)) for name in Shortfall.__annotations__ if name != "group"}
    own, client = _sums(house, house.house), _sums(house, ~house.house)
    left_out = np.zeros(len(loss), dtype=np.bool_) if failed is None else failed
    for at in blocks(n_scenarios):
        block = _member_by_member(loss[:, at], before[:, at], left_out, own, client, rules)
        for name, values in block.items():
            out[name][:, at] = values
    by_group = sparse.csr_array(
        (np.ones(n_members), (house.group, np.arange(n_members))), shape=(len(house.group_name), n_members)
    )
    return Shortfall(**out, group=np.asarray(by_group @ out["member"]))


def blocks(n_scenarios: int) -> Iterator[slice]:
    """Consecutive blocks of scenarios."""
    return (slice(b, min(b + BLOCK, n_scenarios)) for b in range(0, n_scenarios, BLOCK))


def _sums(house: House, accounts: Bool) -> sparse.csr_array:
    """(n_members, n_accounts): adds up some accounts member by member."""
    rows = np.flatnonzero(accounts)
    shape = (len(house.name), len(house.member_of))
    return sparse.csr_array((np.ones(len(rows)), (house.member_of[rows], rows)), shape=shape)


def _member_by_member(
    loss: F8, before: F8, failed: Bool, own: sparse.csr_array, client: sparse.csr_array, rules: Resources
) -> dict[str, F8]:
    loss = np.where(failed[:, None], 0.0, loss + np.maximum(-before, 0.0))
    before = np.where(failed[:, None], 0.0, np.maximum(before, 0.0))
    house_loss, house_before = own @ loss, own @ before
    client_before = client @ before
    if rules.clients == "omnibus":
        net = client @ loss
        client_loss, lacking = np.maximum(net, 0.0), np.maximum(net - client_before, 0.0)
    else:
        client_loss, lacking = client @ np.maximum(loss, 0.0), client @ np.maximum(loss - before, 0.0)
    left = house_before - house_loss
    spare = np.maximum(left, 0.0) if rules.house_covers_clients else 0.0
    gain = np.maximum(-house_loss, 0.0) if rules.house_covers_clients else 0.0
    house, clients = np.maximum(-left, 0.0), np.maximum(lacking - spare, 0.0)
    return {
        "house_loss": house_loss,
        "client_loss": client_loss,
        "loss": np.maximum(house_loss, 0.0) + client_loss,
        "margin": house_before + gain + client_before,
        "house": house,
        "client": clients,
        "member": house + clients,
    }

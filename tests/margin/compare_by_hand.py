"""The rules of strategies once more, unit by unit, in plain Python: nothing of it is shared with the product."""

import numpy as np


def by_hand(spot, rows, rules, as_of):
    """The equity that one account needs, one underlying, whole units; not floored.

    Args:
        rows: as `compare_positions.option` and `stock` make them, options with their price.
        as_of: microseconds since 1970 UTC.
    """
    units = [dict(row, units=np.sign(row["units"])) for row in rows for _ in range(int(abs(row["units"])))]
    options = [u for u in units if "strike" in u]
    value = sum(u["units"] * u.get("price", spot) for u in units)

    def need(u):
        call = u["sign"] > 0
        otm = max(u["sign"] * (u["strike"] - spot), 0)
        return u["price"] + max(rules.naked * spot - otm, rules.naked_minimum * (spot if call else u["strike"]))

    cash = 0.0
    net = sum(u["units"] for u in units if "strike" not in u)
    for u in units:
        if "strike" not in u:
            cash += (1 + rules.stock) * spot if u["units"] < 0 else -(1 - rules.stock) * spot
    shorts = sorted((u for u in options if u["units"] < 0), key=need, reverse=True)
    for u in [u for u in shorts if u["sign"] * net > 0][: int(abs(net))]:
        money = max(u["sign"] * (spot - u["strike"]), 0)
        cash += (1 - rules.stock) * money if u["sign"] > 0 else money
        shorts.remove(u)
    free = [u for u in options if u["units"] > 0]
    for u in sorted(shorts, key=lambda u: (-u["expiry"], u["sign"] * u["strike"], -u["price"])):
        able = [v for v in free if v["sign"] == u["sign"] and v["expiry"] >= u["expiry"]]
        if able:
            u["wing"] = min(able, key=lambda v: (v["sign"] * v["strike"], v["expiry"], v["price"]))
            free.remove(u["wing"])
            wide = max(u["sign"] * (u["wing"]["strike"] - u["strike"]), 0)
            u["spread"] = wide <= need(u)
        u["apart"] = wide if u.get("spread") else need(u)
    cash -= sum(
        (1 - rules.long_term) * v["price"]
        for v in free
        if v["expiry"] - as_of > rules.long_term_months * 365 / 12 * 86_400_000_000
    )
    return value + cash + min(_paired(shorts, need), _joint(shorts))


def _loss(spreads):
    def payoff(u, x):
        return max(u["sign"] * (x - u["strike"]), 0)

    prices = [v["strike"] for u in spreads for v in (u, u["wing"])]
    return max([0.0, *(sum(payoff(u, x) - payoff(u["wing"], x) for u in spreads) for x in [0.0, *prices, 1e4])])


def _paired(shorts, need):
    calls, puts = ([u for u in shorts if u["sign"] == sign] for sign in (1.0, -1.0))
    total = 0.0
    for c, p in zip(calls, puts, strict=False):
        greater, other = (c, p) if need(c) >= need(p) else (p, c)
        ways = [c["apart"] + p["apart"], need(greater) + other["price"]]
        if c.get("spread") and p.get("spread") and c["expiry"] == p["expiry"]:
            ways.append(_loss([c, p]))
        total += min(ways)
    longer = calls if len(calls) > len(puts) else puts
    return total + sum(u["apart"] for u in longer[min(len(calls), len(puts)) :])


def _joint(shorts):
    spreads = [u for u in shorts if u.get("spread")]
    naked = sum(u["apart"] for u in shorts if not u.get("spread"))
    return naked + sum(_loss([u for u in spreads if u["expiry"] == e]) for e in {u["expiry"] for u in spreads})

"""Strategy-based margin against published figures: Cboe's own comparison, brokers' pages, textbooks."""

import pytest
from margin.compare_positions import FAR, NEAR, option, reg_t_margin, requirement, stock

# Cboe, "Margin Requirement Examples for Sample Options-based Positions", close of 23 February 2007, strategy-based
# column: IBM at 97.73, 100 contracts of 100; SPX at 1451.19, 100 contracts of 100, with 100,000 SPDRs at 145.30.
IBM, SPX = 97.73, 1451.19
CALL_100, PUT_100 = ("call", 100, 1.68), ("put", 100, 3.18)


@pytest.mark.parametrize(
    ("dollars", "rows"),
    [
        (172_760, [option(-10_000, *CALL_100)]),
        (195_460, [option(-10_000, *PUT_100)]),
        (471_850, [stock(10_000), option(-10_000, *CALL_100)]),
        (498_850, [stock(10_000), option(10_000, "put", 95, 1.02)]),
        (212_260, [option(10_000, *CALL_100), option(-10_000, *PUT_100)]),
        (132_960, [option(10_000, "put", 95, 1.02), option(-10_000, "call", 105, 0.40)]),
        (494_850, [stock(10_000), option(10_000, "put", 95, 1.02), option(-10_000, "call", 105, 0.40)]),
        (41_300, [option(10_000, "call", 95, 4.53), option(-10_000, "call", 105, 0.40)]),
    ],
    ids=["short call", "short put", "covered call", "protective put", "synthetic", "reversal", "collar", "spread"],
)
def test_cboe_equity_examples(dollars, rows):
    assert reg_t_margin(IBM, *rows) == pytest.approx(dollars, abs=0.01)


@pytest.mark.parametrize(
    ("dollars", "rows"),
    [
        (2_088_685, [option(-10_000, "call", 1460, 21.66)]),
        (2_176_785, [option(-10_000, "put", 1460, 22.55)]),
        (2_393_385, [option(10_000, "call", 1460, 21.66), option(-10_000, "put", 1460, 22.55)]),
        (1_875_885, [option(10_000, "put", 1450, 18.72), option(-10_000, "call", 1500, 5.96)]),
        (216_100, [option(10_000, "call", 1450, 27.57), option(-10_000, "call", 1500, 5.96)]),
        (462_800, [option(10_000, "put", 1450, 18.72), option(10_000, "call", 1450, 27.56)]),  # printed: 462,900
    ],
    ids=["short call", "short put", "synthetic", "reversal", "spread", "long straddle"],
)
def test_cboe_broad_index_examples_at_15_percent(dollars, rows):
    assert reg_t_margin(SPX, *rows, index=True) == pytest.approx(dollars, abs=0.01)


def test_cboe_index_calls_covered_by_shares_of_the_fund():
    # SPDRs are a tenth of the index: the same number of units at a tenth of spot and strike, ten times.
    rows = [stock(100_000), option(-100_000, "call", 146.0, 2.166)]
    assert reg_t_margin(145.30, *rows) == pytest.approx(7_048_400, abs=0.01)


@pytest.mark.parametrize(
    ("dollars", "spot", "row"),
    [
        (5_700, 52, option(-500, "call", 55, 4)),  # Fincyclopedia, "Writing naked options"
        (7_200, 52, option(-500, "put", 55, 4)),
        (6_240, 38, option(-400, "call", 35, 8)),  # after Hull, Options, Futures and Other Derivatives, ch. 10
        (310, 26, option(-100, "call", 30, 0.5)),  # the minimum binds
        (3_400, 209, option(-100, "put", 200, 1.20)),  # the Cboe margin calculator
        (3_080, 72, option(-200, "put", 70, 3)),  # neif.org, 2 GM puts
    ],
)
def test_naked_options_with_their_premium(dollars, spot, row):
    assert requirement(spot, row) == pytest.approx(dollars, abs=0.01)


def test_margin_call_after_proceeds():
    # Cboe margin calculator: "margin call (SMA debit)" of a put out of the money and of one in the money.
    assert reg_t_margin(155, option(-100, "put", 150, 2.40)) == pytest.approx(2_600)
    assert reg_t_margin(155, option(-100, "put", 170, 18.0)) == pytest.approx(3_100)
    assert reg_t_margin(209, option(-100, "put", 200, 1.20)) == pytest.approx(3_280)


def test_short_strangle():
    rows = [option(-100, "call", 47, 2.10), option(-100, "put", 43, 1.20)]
    assert requirement(45, *rows) == pytest.approx(1_030)  # tastytrade: 910 + 120
    rows = [option(-100, "call", 28, 0.85), option(-100, "put", 26, 1.40)]
    assert requirement(27, *rows) == pytest.approx(665)  # Motley Fool: 580 + 85
    # Cboe, 100 contracts of AAPL, before premiums; the price of the stock follows from the figure.
    rows = [option(-10_000, "put", 125, 6.33), option(-10_000, "call", 135, 4.75)]
    assert reg_t_margin(127.83, *rows) == pytest.approx(227_360)


def test_spreads_of_brokers():
    put_spread = [option(100, "put", 120, 0.80), option(-100, "put", 125, 1.24)]
    assert reg_t_margin(200, *put_spread) == pytest.approx(456)  # the long one's 80 and the width's 500, less 124
    condor = [
        option(200, "put", 50, 0.80),
        option(-200, "put", 53, 1.25),
        option(-200, "call", 67, 2.00),
        option(200, "call", 70, 0.75),
    ]
    # tastytrade: the wider side, $300 x 2 contracts, before what has been received
    assert requirement(60, *condor) - 200 * (0.80 + 0.75) == pytest.approx(600)
    spy = [
        option(100, "put", 567, 4.78),
        option(-100, "put", 572, 5.61),
        option(-100, "call", 602, 5.23),
        option(100, "call", 607, 3.68),
    ]
    assert reg_t_margin(587.88, *spy) == pytest.approx(262)  # margin-estimator: 500 less a credit of 238


def test_butterflies():
    short = [option(-300, "put", 75, 1.5), option(600, "put", 80, 4.0), option(-300, "put", 85, 6.0)]
    assert requirement(80, *short) - 600 * 4.0 == pytest.approx(1_500)  # tastytrade: the credit spread's width
    short = [option(-600, "put", 42, 0.90), option(1_200, "put", 37, 0.15), option(-600, "put", 32, 0.05)]
    assert requirement(40, *short) - 1_200 * 0.15 == pytest.approx(3_000)  # OptionsHouse
    # McMillan, Options as a Strategic Investment, table 10-1: the net debit
    long = [option(100, "call", 50, 12), option(-200, "call", 60, 6), option(100, "call", 70, 3)]
    assert reg_t_margin(60, *long) == pytest.approx(300)


def test_calendar_spreads():
    # tastytrade: a long calendar costs its debit; a short one is a naked option and a long one
    long = [option(400, "call", 43, 3.0, FAR), option(-400, "call", 43, 1.0, NEAR)]
    assert reg_t_margin(40, *long) == pytest.approx(800)
    short = [option(200, "call", 43, 3.5, NEAR), option(-200, "call", 43, 4.0, FAR)]
    assert requirement(40, *short) == pytest.approx(2_500)


def test_spread_at_its_worst_loss():
    # SR-CBOE-2012-043: short the 50 call, long the 60 call: $1,000 at most, before premiums
    rows = [option(-100, "call", 50, 0.0), option(100, "call", 60, 0.0)]
    assert reg_t_margin(55, *rows) == pytest.approx(1_000)

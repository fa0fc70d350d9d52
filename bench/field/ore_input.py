"""The case as input of Open Source Risk Engine: XML files, market data, historical scenarios. Standard library only.

Options lie on the nodes of the simulated volatility surface (expiry × strike over spot, sticky strike), so that ORE
interpolates nothing and its volatilities are the case's own; expiries are whole weeks, for it counts days of a tenor as
business days. The scenario file holds levels of spots and of every node
of the surface; rates and dividend yields do not stand there, and so do not move. Structure of the files: ORE User
Guide, chapters 7 (parametrisation), 8 (trade data), 9 (market data) and its example MarketRisk/HistSimVar.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

RATE_DAYS = (7, 364, 1120)
"""Nodes of the flat curves."""


def write_ore(case: dict[str, Any], folder: Path, level: float, threads: int, *, trade_pnl: bool = False) -> Path:
    """Write the folder `Input`, and return the path of `ore.xml`."""
    inputs = folder / "Input"
    inputs.mkdir(parents=True, exist_ok=True)
    (folder / "Output").mkdir(exist_ok=True)
    files = {
        "ore.xml": master(case, folder, level, threads, trade_pnl),
        "portfolio.xml": portfolio(case),
        "market.txt": "".join(market(case)),
        "fixings.txt": "",
        "conventions.xml": CONVENTIONS,
        "pricingengine.xml": ENGINES,
        "curveconfig.xml": curves(case),
        "todaysmarket.xml": todays_market(case),
        "simulation.xml": simulation(case),
        "scenarios.csv": "".join(scenarios(case)),
    }
    for name, text in files.items():
        (inputs / name).write_text(text)
    return inputs / "ore.xml"


def day(case: dict[str, Any], days: int) -> str:
    """An ISO date so many days after the case's."""
    return (date.fromisoformat(case["as_of"]) + timedelta(days)).isoformat()


def master(case: dict[str, Any], folder: Path, level: float, threads: int, trade_pnl: bool) -> str:
    """What is to be done."""
    setup = {
        "asofDate": case["as_of"],
        "inputPath": folder / "Input",
        "outputPath": folder / "Output",
        "logFile": "log.txt",
        "logMask": 7,
        "marketDataFile": "market.txt",
        "fixingDataFile": "fixings.txt",
        "implyTodaysFixings": "N",
        "curveConfigFile": "curveconfig.xml",
        "conventionsFile": "conventions.xml",
        "marketConfigFile": "todaysmarket.xml",
        "pricingEnginesFile": "pricingengine.xml",
        "portfolioFile": "portfolio.xml",
        "baseCurrency": case["currency"],
        "observationModel": "Disable",
        "nThreads": threads,
    }
    dates = case["history"]["date"]
    var = {
        "active": "Y",
        "historicalScenarioFile": "scenarios.csv",
        "simulationConfigFile": "simulation.xml",
        "historicalPeriod": f"{dates[1]},{dates[-1]}",  # of the returns, by their later date
        "mporDays": 1,
        "mporCalendar": "WeekendsOnly",
        "mporOverlappingPeriods": "Y",
        "quantiles": level,
        "includeExpectedShortfall": "Y",
        "breakdown": "N",
        "riskClassBreakdown": "N",  # else each risk class and type is a revaluation of its own, eight in all
        "tradePnl": "Y" if trade_pnl else "N",
        "outputFile": "var.csv",
    }
    npv = {"active": "Y", "baseCurrency": case["currency"], "outputFileName": "npv.csv"}
    market = dict.fromkeys(("pricing", "simulation", "sensitivity"), "default")
    analytics = "".join(
        f'    <Analytic type="{name}">\n{parameters(values, 6)}    </Analytic>\n'
        for name, values in (("npv", npv), ("historicalSimulationVar", var))
        if name != "npv" or trade_pnl
    )
    return (
        f'<?xml version="1.0"?>\n<ORE>\n  <Setup>\n{parameters(setup, 4)}  </Setup>\n'
        f"  <Markets>\n{parameters(market, 4)}  </Markets>\n  <Analytics>\n{analytics}  </Analytics>\n</ORE>\n"
    )


def parameters(values: dict[str, Any], indent: int) -> str:
    """ORE's name and value elements."""
    return "".join(f'{" " * indent}<Parameter name="{name}">{value}</Parameter>\n' for name, value in values.items())


def portfolio(case: dict[str, Any]) -> str:
    """A trade an option."""
    o, names = case["options"], [u["name"] for u in case["underlyings"]]
    trades = [
        TRADE.format(
            id=f"O{i:05d}",
            long="Long" if quantity > 0 else "Short",
            right=right.capitalize(),
            style=case["exercise"].capitalize(),
            expiry=day(case, days),
            name=names[u],
            currency=case["currency"],
            strike=strike,
            quantity=abs(quantity),
        )
        for i, (u, days, strike, right, quantity) in enumerate(
            zip(o["underlying"], o["days"], o["strike"], o["right"], o["quantity"], strict=True)
        )
    ]
    return f'<?xml version="1.0"?>\n<Portfolio>\n{"".join(trades)}</Portfolio>\n'


TRADE = """  <Trade id="{id}">
    <TradeType>EquityOption</TradeType>
    <Envelope>
      <CounterParty>CPTY</CounterParty>
      <NettingSetId>A</NettingSetId>
      <AdditionalFields/>
    </Envelope>
    <EquityOptionData>
      <OptionData>
        <LongShort>{long}</LongShort>
        <OptionType>{right}</OptionType>
        <Style>{style}</Style>
        <Settlement>Cash</Settlement>
        <PayOffAtExpiry>false</PayOffAtExpiry>
        <ExerciseDates>
          <ExerciseDate>{expiry}</ExerciseDate>
        </ExerciseDates>
      </OptionData>
      <Name>{name}</Name>
      <Currency>{currency}</Currency>
      <Strike>{strike}</Strike>
      <Quantity>{quantity}</Quantity>
    </EquityOptionData>
  </Trade>
"""


def nodes(case: dict[str, Any], u: int) -> dict[tuple[int, float], float]:
    """Volatility by days and strike of an underlying."""
    o = case["options"]
    columns = zip(o["underlying"], o["days"], o["strike"], o["volatility"], strict=True)
    return {(days, strike): vol for owner, days, strike, vol in columns if owner == u}


def market(case: dict[str, Any]) -> Iterator[str]:
    """Quotes of today."""
    today, currency = case["as_of"], case["currency"]
    for d in RATE_DAYS:
        yield f"{today} ZERO/RATE/{currency}/FLAT/A365F/{day(case, d)} {case['rate']}\n"
    for u, underlying in enumerate(case["underlyings"]):
        name = underlying["name"]
        yield f"{today} EQUITY/PRICE/{name}/{currency} {underlying['spot']}\n"
        for d in RATE_DAYS:
            yield f"{today} EQUITY_DIVIDEND/RATE/{name}/{currency}/{day(case, d)} {underlying['dividend_yield']}\n"
        for (days, strike), vol in sorted(nodes(case, u).items()):
            yield f"{today} EQUITY_OPTION/RATE_LNVOL/{name}/{currency}/{day(case, days)}/{strike} {vol}\n"


CONVENTIONS = """<?xml version="1.0"?>
<Conventions>
  <Zero>
    <Id>ZERO-A365F</Id>
    <TenorBased>false</TenorBased>
    <DayCounter>A365F</DayCounter>
    <Compounding>Continuous</Compounding>
    <CompoundingFrequency>Annual</CompoundingFrequency>
  </Zero>
</Conventions>
"""

ENGINES = """<?xml version="1.0"?>
<PricingEngines>
  <Product type="EquityOption">
    <Model>BlackScholesMerton</Model>
    <ModelParameters/>
    <Engine>AnalyticEuropeanEngine</Engine>
    <EngineParameters/>
  </Product>
</PricingEngines>
"""


def curves(case: dict[str, Any]) -> str:
    """How the curves and surfaces of today are made of the quotes."""
    currency = case["currency"]
    zero = "".join(f"          <Quote>ZERO/RATE/{currency}/FLAT/A365F/{day(case, d)}</Quote>\n" for d in RATE_DAYS)
    equities, surfaces = "", ""
    for u, underlying in enumerate(case["underlyings"]):
        name = underlying["name"]
        surface = nodes(case, u)
        equities += EQUITY_CURVE.format(
            name=name,
            currency=currency,
            quotes="".join(
                f"        <Quote>EQUITY_DIVIDEND/RATE/{name}/{currency}/{day(case, d)}</Quote>\n" for d in RATE_DAYS
            ),
        )
        surfaces += EQUITY_SURFACE.format(
            name=name,
            currency=currency,
            strikes=",".join(map(str, sorted({k for _, k in surface}))),
            expiries=",".join(day(case, d) for d in sorted({d for d, _ in surface})),
        )
    return CURVES.format(currency=currency, zero=zero, equities=equities, surfaces=surfaces)


CURVES = """<?xml version="1.0"?>
<CurveConfiguration>
  <YieldCurves>
    <YieldCurve>
      <CurveId>FLAT</CurveId>
      <CurveDescription>Flat</CurveDescription>
      <Currency>{currency}</Currency>
      <DiscountCurve/>
      <Segments>
        <Direct>
          <Type>Zero</Type>
          <Quotes>
{zero}          </Quotes>
          <Conventions>ZERO-A365F</Conventions>
        </Direct>
      </Segments>
      <InterpolationVariable>Discount</InterpolationVariable>
      <InterpolationMethod>LogLinear</InterpolationMethod>
      <YieldCurveDayCounter>A365F</YieldCurveDayCounter>
      <Extrapolation>true</Extrapolation>
    </YieldCurve>
  </YieldCurves>
  <EquityCurves>
{equities}  </EquityCurves>
  <EquityVolatilities>
{surfaces}  </EquityVolatilities>
</CurveConfiguration>
"""

EQUITY_CURVE = """    <EquityCurve>
      <CurveId>{name}</CurveId>
      <CurveDescription>{name}</CurveDescription>
      <Currency>{currency}</Currency>
      <ForecastingCurve>FLAT</ForecastingCurve>
      <Type>DividendYield</Type>
      <SpotQuote>EQUITY/PRICE/{name}/{currency}</SpotQuote>
      <Quotes>
{quotes}      </Quotes>
      <DayCounter>A365F</DayCounter>
      <DividendInterpolation>
        <InterpolationVariable>Zero</InterpolationVariable>
        <InterpolationMethod>Linear</InterpolationMethod>
      </DividendInterpolation>
    </EquityCurve>
"""

EQUITY_SURFACE = """    <EquityVolatility>
      <CurveId>{name}</CurveId>
      <CurveDescription>{name}</CurveDescription>
      <Currency>{currency}</Currency>
      <DayCounter>A365F</DayCounter>
      <Calendar>WeekendsOnly</Calendar>
      <StrikeSurface>
        <QuoteType>ImpliedVolatility</QuoteType>
        <VolatilityType>Lognormal</VolatilityType>
        <Strikes>{strikes}</Strikes>
        <Expiries>{expiries}</Expiries>
        <TimeInterpolation>Linear</TimeInterpolation>
        <StrikeInterpolation>Linear</StrikeInterpolation>
        <Extrapolation>true</Extrapolation>
        <TimeExtrapolation>Flat</TimeExtrapolation>
        <StrikeExtrapolation>Flat</StrikeExtrapolation>
      </StrikeSurface>
    </EquityVolatility>
"""


def todays_market(case: dict[str, Any]) -> str:
    """Which curve is for what."""
    currency, names = case["currency"], [u["name"] for u in case["underlyings"]]
    curve = "".join(f'    <EquityCurve name="{n}">Equity/{currency}/{n}</EquityCurve>\n' for n in names)
    vol = "".join(
        f'    <EquityVolatility name="{n}">EquityVolatility/{currency}/{n}</EquityVolatility>\n' for n in names
    )
    return TODAYS_MARKET.format(currency=currency, curve=curve, vol=vol)


TODAYS_MARKET = """<?xml version="1.0"?>
<TodaysMarket>
  <Configuration id="default">
    <DiscountingCurvesId>default</DiscountingCurvesId>
    <EquityCurvesId>default</EquityCurvesId>
    <EquityVolatilitiesId>default</EquityVolatilitiesId>
  </Configuration>
  <DiscountingCurves id="default">
    <DiscountingCurve currency="{currency}">Yield/{currency}/FLAT</DiscountingCurve>
  </DiscountingCurves>
  <EquityCurves id="default">
{curve}  </EquityCurves>
  <EquityVolatilities id="default">
{vol}  </EquityVolatilities>
</TodaysMarket>
"""


def simulation(case: dict[str, Any]) -> str:
    """What moves in the scenarios: spots and the nodes of the surfaces."""
    names = "".join(f"        <Name>{u['name']}</Name>\n" for u in case["underlyings"])
    used = {(d, m) for d in case["surface"]["days"] for m in case["surface"]["moneyness"]}
    return SIMULATION.format(
        currency=case["currency"],
        names=names,
        expiries=",".join(f"{d // 7}W" for d in sorted({d for d, _ in used})),
        moneyness=",".join(map(str, sorted({m for _, m in used}))),
        equities=names,
    )


SIMULATION = """<?xml version="1.0"?>
<Simulation>
  <Market>
    <BaseCurrency>{currency}</BaseCurrency>
    <Currencies>
      <Currency>{currency}</Currency>
    </Currencies>
    <YieldCurves>
      <Configuration>
        <Tenors>52W,160W</Tenors>
        <Interpolation>LogLinear</Interpolation>
        <Extrapolation>Y</Extrapolation>
      </Configuration>
    </YieldCurves>
    <Equities>
      <Simulate>true</Simulate>
      <Names>
{names}      </Names>
      <DividendTenors>52W,160W</DividendTenors>
    </Equities>
    <EquityVolatilities>
      <Simulate>true</Simulate>
      <ReactionToTimeDecay>ForwardVariance</ReactionToTimeDecay>
      <Names>
{names}      </Names>
      <Expiries>{expiries}</Expiries>
      <Surface>
        <Moneyness>{moneyness}</Moneyness>
      </Surface>
      <TimeExtrapolation>Flat</TimeExtrapolation>
      <StrikeExtrapolation>Flat</StrikeExtrapolation>
    </EquityVolatilities>
  </Market>
</Simulation>
"""


def scenarios(case: dict[str, Any]) -> Iterator[str]:
    """Levels by date; only their ratio from one date to the next counts."""
    h, size = case["history"], len(case["surface"]["days"]) * len(case["surface"]["moneyness"])
    names = [u["name"] for u in case["underlyings"]]
    header = ["Date", "Scenario", "Numeraire", *(f"EquitySpot/{n}/0" for n in names)]
    header += [f"EquityVolatility/{n}/{i}" for n in names for i in range(size)]
    yield ",".join(header) + "\n"
    for t, d in enumerate(h["date"]):
        spots = ",".join(str(levels[t]) for levels in h["spot"])
        vols = ",".join(",".join([str(levels[t])] * size) for levels in h["volatility"])
        yield f"{d},1,1,{spots},{vols}\n"

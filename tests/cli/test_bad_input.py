"""Every kind of bad input that the contract lists: what is said of it, exit code 2, and nothing written."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tables.base import write

from gpu_var.cli import main

P = "account,instrument,quantity\n"
I = "instrument,kind,underlying,multiplier,expiry,strike,right,exercise,settlement,iv\n"  # noqa: E741 (as P, U and V)
U = "underlying,currency,spot,dynamics,carry,adv,half_spread,vol_half_spread\n"
V = "underlying,expiry,strike,iv\n"
C = "BTC-C,option,BTC,1,2026-06-26,100000,call,,,\n"
REST = "BTC-F,future,BTC,1,2026-03-27,,,,,\nEUX-S,spot,EUX,1,,,,,,\n"
UNDERLYINGS = U + "BTC,USD,95000,,,,,\nEUX,EUR,100,,,,,\n"


def parquet(**columns):
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def arrow(**columns):
    table, sink = pa.table(columns), io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


A_POSITION = {"account": ["A1"], "instrument": ["BTC-C"], "quantity": [1]}


def quantity(text):
    return {"positions__csv": ("A2,BTC-C,-5", f"A2,BTC-C,{text}")}


def instead(table, **change):
    """The table's CSV file left out, another file in its place."""
    return {f"{table}__csv": None, **change}


NUMBERS = [
    (
        text,
        quantity(given),
        f"error: positions.csv line 4, column quantity: {said}; expected a finite number of contracts",
    )
    for text, given, said in [
        ("text", "abc", "'abc' is not a number"),
        ("not available", "n/a", "'n/a' is not a number"),
        ("per cent", "12%", "'12%' is not a number"),
        ("hexadecimal", "0x10", "'0x10' is not a number"),
        ("underscore", "1_000", "'1_000' is not a number"),
        ("space", " 1", "' 1' is not a number"),
        ("long", "x" * 200, f"'{'x' * 80}…' is not a number"),
        ("control", "a\x1b[31mb", r"'a\x1b[31mb' is not a number"),
        ("null", "", "empty"),
        ("NaN", "NaN", "NaN is not finite"),
        ("infinity", "-inf", "-inf is not finite"),
        ("overflow", "1e999", "1e999 is not finite"),
    ]
]

TEXT = [
    ("thousands", quantity('"1,000"'), "line 4, column quantity: '1,000' is not a number (a decimal point is expected"),
    ("decimal comma", quantity("1,5"), "positions.csv line 4: 4 fields; expected 3 (account, instrument, quantity)"),
    ("few fields", quantity("1\nA1,BTC-C"), "positions.csv line 5: 2 fields; expected 3"),
    ("semicolons", {"fx__csv": "currency;rate\nEUR;1,1\n"}, "fx.csv line 1: fields are separated by a semicolon (';')"),
    ("tabs", {"fx__csv": "currency\trate\nEUR\t1.1\n"}, "fx.csv line 1: fields are separated by a tab"),
    ("Latin-1", {"fx__csv": b"currency,rate\n\xe9,1\n"}, "fx.csv line 2: byte 15 (0xe9) is not UTF-8"),
    ("UTF-16", {"fx__csv": "currency,rate\n".encode("utf-16")}, "fx.csv line 1: byte 1 (0xff) is not UTF-8"),
    ("zero byte", {"fx__csv": "currency,rate\nE\0R,1\n"}, "fx.csv line 2: byte 16 is a zero byte"),
    ("old Mac", {"fx__csv": "currency,rate\rEUR,1\r"}, "fx.csv line 1: a carriage return without a line feed"),
    ("open quote", {"fx__csv": 'currency,rate\n"EUR,1.1\n'}, "fx.csv line 2: a quotation mark that RFC 4180 does not"),
    ("zero bytes", {"vols__csv": ""}, "vols.csv: a file of zero bytes; expected a header"),
    ("header only", {"vols__csv": V}, "vols.csv: empty; expected at least one row"),
    ("repeated", {"fx__csv": "currency,rate,rate\nEUR,1,2\n"}, "fx.csv, column rate: repeated"),
    ("unnamed, repeated", {"fx__csv": "currency,rate,,\nEUR,1,,\n"}, "fx.csv, column '': repeated"),
    ("long name", {"positions__csv": P + "A" * 1001 + ",BTC-C,1\n"}, "line 2, column account: 'AAAA"),
    ("control character", {"positions__csv": P + "A\x07,BTC-C,1\n"}, r"'A\x07' holds a control character"),
    ("no account", {"positions__csv": P + ",BTC-C,1\n"}, "positions.csv line 2, column account: empty"),
    (
        "quoted line feeds count",
        {"positions__csv": P + '\n"A\n1",BTC-C,1\r\nA1,BTC-C,zz\n'},
        "positions.csv line 5, column quantity: 'zz'",
    ),
]

FILES = [
    ("a table missing", {"instruments__csv": None}, "error: instruments: missing; expected instruments.parquet"),
    ("history missing", {"history__csv": None}, "error: history: missing; expected"),
    ("a table's case", instead("positions", Positions__csv=P), "positions: missing; there is 'Positions.csv'"),
    ("a table misspelt", instead("history", histroy__csv="date\n"), "history: missing; there is 'histroy.csv'"),
    ("vol.csv", {"vol__csv": V}, "vol.csv: no table of a book; did you mean vols?"),
    ("two files", {"fx__arrow": "x"}, "fx: 2 files for one table (fx.arrow, fx.csv)"),
    ("a column missing", {"fx__csv": "currency\nEUR\n"}, "fx.csv, column rate: missing; expected a positive rate"),
    ("a column's case", {"positions__csv": ("account", "Account")}, "column account: missing; there is 'Account'"),
    (
        "multiplyer",
        {"instruments__csv": ("multiplier", "multiplyer")},
        "column multiplyer: no column of instruments; did",
    ),
    (
        "IV",
        {"instruments__csv": I.replace("iv", "IV") + C + REST},
        "column IV: no column of instruments; did you mean iv?",
    ),
    (
        "truncated",
        instead("positions", positions__parquet=parquet(**A_POSITION)[:-9]),
        "positions.parquet: truncated, or",
    ),
    (
        "foreign",
        instead("positions", positions__arrow=b"GIF89a" * 9),
        "positions.arrow: truncated, or not an Arrow IPC",
    ),
    ("no bytes", instead("positions", positions__parquet=b""), "positions.parquet: a file of zero bytes"),
    (
        "no rows",
        instead("fx", fx__parquet=parquet(currency=pa.array([], pa.string()), rate=pa.array([], pa.float64()))),
        "fx.parquet: empty; expected at least one row",
    ),
    (
        "a row of Parquet",
        instead(
            "positions", positions__parquet=parquet(account=["A1", "A1"], instrument=["BTC-C"] * 2, quantity=[1, None])
        ),
        "positions.parquet row 2, column quantity: null; expected a finite number of contracts",
    ),
    (
        "wrong type",
        instead("positions", positions__arrow=arrow(**A_POSITION | {"quantity": ["1"]})),
        "positions.arrow, column quantity: of type string; expected an integer, float or decimal",
    ),
    (
        "date as text",
        instead("fx", fx__arrow=arrow(currency=[1], rate=[1.1])),
        "fx.arrow, column currency: of type int64; expected text",
    ),
]

ROWS = [
    (
        "unknown instrument",
        {"positions__csv": P + "A1,XYZ,1\n"},
        "line 2, column instrument: 'XYZ' is not in instruments",
    ),
    (
        "unknown account",
        {"accounts__csv": "account\nA1\n"},
        "positions.csv line 4, column account: 'A2' is not in accounts",
    ),
    (
        "unknown underlying",
        {"vols__csv": V + "X,2026-06-26,1,1\n"},
        "vols.csv line 2, column underlying: 'X' is not in",
    ),
    ("unknown currency", {"fx__csv": None}, "underlyings.csv line 3, column currency: 'EUR' is not known"),
    (
        "rates' currency",
        {"rates__csv": "currency,expiry,rate\nGBP,2027-01-01,0\n"},
        "rates.csv line 2, column currency",
    ),
    (
        "collateral's asset",
        {"collateral__csv": "account,asset,quantity\nA1,USD,1\nA1,QQQ,1\n"},
        "collateral.csv line 3, column asset: 'QQQ' is neither an underlying nor a currency",
    ),
    ("base not 1", {"fx__csv": "currency,rate\nUSD,2\nEUR,1\n"}, "fx.csv line 2, column rate: 2 is not 1"),
    ("kind", {"instruments__csv": ("option", "Option")}, "column kind: 'Option' is not known (did you mean 'option'?)"),
    (
        "word",
        {"accounts__csv": "account,kind\nA1,bank\nA2,\n"},
        "accounts.csv line 2, column kind: 'bank' is not known",
    ),
    (
        "duplicate",
        {"fx__csv": "currency,rate\nEUR,1\nEUR,2\n"},
        "line 3, column currency: 'EUR' stands on line 2 already",
    ),
    (
        "duplicate node",
        {"vols__csv": V + "BTC,2026-06-26,9e4,1\nBTC,2026-06-26T00:00Z,90000,1\n"},
        "vols.csv line 3, column underlying: 'BTC', 2026-06-26, 90000 stands on line 2 already",
    ),
    ("spot", {"underlyings__csv": ("95000", "0")}, "underlyings.csv line 2, column spot: 0 is not positive"),
    ("adv", {"underlyings__csv": ("1000,", "-1,")}, "underlyings.csv line 2, column adv: -1 is not positive"),
    ("spread", {"underlyings__csv": ("0.001", "-0.001")}, "line 3, column half_spread: -0.001 is negative"),
    (
        "multiplier",
        {"instruments__csv": ("BTC,1,2026-03", "BTC,0,2026-03")},
        "line 3, column multiplier: 0 is not positive",
    ),
    ("strike", {"instruments__csv": ("100000", "-1")}, "line 2, column strike: -1 is not positive"),
    ("volatility", {"vols__csv": ("0.55", "0")}, "vols.csv line 2, column iv: 0 is not positive"),
    ("fx", {"fx__csv": ("1.1", "-1.1")}, "fx.csv line 2, column rate: -1.1 is not positive"),
    (
        "forward",
        {"forwards__csv": "underlying,expiry,forward\nBTC,2026-06-26,0\n"},
        "forwards.csv line 2, column forward: 0 is not positive",
    ),
    (
        "forward without carry",
        {
            "forwards__csv": "underlying,expiry,forward\nEUX,2026-06-26,100\n",
            "underlyings__csv": U + "BTC,USD,95000,,,,,\nEUX,EUR,100,,none,,,\n",
        },
        "forwards.csv line 2, column underlying: 'EUX' has carry 'none'",
    ),
    ("expiry missing", {"instruments__csv": ("2026-03-27", "")}, "instruments.csv line 3, column expiry: missing"),
    ("a date's form", {"instruments__csv": ("2026-03-27", "27/03/2026")}, "column expiry: '27/03/2026' is not a time"),
    ("no such date", {"instruments__csv": ("2026-03-27", "2026-02-29")}, "column expiry: '2026-02-29' is not a time"),
    ("strike missing", {"instruments__csv": ("100000", "")}, "instruments.csv line 2, column strike: missing"),
    ("right missing", {"instruments__csv": ("call", "")}, "instruments.csv line 2, column right: missing"),
    ("no volatility", {"vols__csv": None}, "instruments.csv line 2, column iv: option 'BTC-C' has no iv, and vols"),
    (
        "American, inverse",
        {"instruments__csv": I + C.replace("call,,", "call,american,inverse") + REST},
        "instruments.csv line 2, column exercise: 'american' does not go with settlement inverse",
    ),
    (
        "American, normal",
        {
            "instruments__csv": I + C.replace("call,", "call,american") + REST,
            "underlyings__csv": UNDERLYINGS.replace("95000,", "95000,normal"),
        },
        "instruments.csv line 2, column exercise: 'american' does not go with an underlying of normal dynamics",
    ),
    (
        "inverse spot",
        {"instruments__csv": I + C + REST.replace("EUX,1,,,,,,", "EUX,1,,,,,inverse,")},
        "instruments.csv line 4, column settlement: 'inverse' does not go with kind spot",
    ),
    (
        "quantity",
        {"positions__csv": P + "A1,BTC-C,6e14\n" * 2},
        "line 2, column quantity: the quantities of account 'A1'",
    ),
]

LINE_12 = "2025-12-20,95300,100,0.53,"
HISTORY = [
    ("factor missing", {"history__csv": ("spot:EUX", "spot:EUY")}, "column spot:EUX: missing; there is 'spot:EUY'"),
    (
        "iv missing",
        {"history__csv": ("iv:BTC:30d", "iv:XYZ:30d")},
        "column iv:BTC: missing; expected at least one column",
    ),
    ("fx missing", {"history__csv": ("fx:EUR", "fx:GBP")}, "history.csv, column fx:EUR: missing"),
    (
        "prefix",
        {"history__csv": ("spot:EUX", "Spot:EUX")},
        "column Spot:EUX: no column of history; did you mean spot:EUX",
    ),
    ("tenor", {"history__csv": ("iv:BTC:30d", "iv:BTC:30x")}, "history.csv, column iv:BTC:30x: no factor's name"),
    (
        "null",
        {"history__csv": (LINE_12, "2025-12-20,,100,0.53,")},
        "line 12, column spot:BTC: null inside the look-back",
    ),
    (
        "not positive",
        {"history__csv": (LINE_12, "2025-12-20,1,0,0.53,")},
        "line 12, column spot:EUX: 0 is not positive",
    ),
    ("NaN", {"history__csv": (LINE_12, "2025-12-20,nan,1,1,")}, "line 12, column spot:BTC: nan is not finite"),
    (
        "first level null",
        {"history__csv": ("2025-12-11,95003", "2025-12-11,")},
        "history.csv line 3, column spot:BTC: null",
    ),
    (
        "duplicated date",
        {"history__csv": ("2025-12-20", "2025-12-19")},
        "line 12, column date: 2025-12-19 is the same as",
    ),
    ("out of order", {"history__csv": ("2025-12-20", "2025-12-01")}, "line 12, column date: 2025-12-01 comes after"),
    ("after as_of", {"history__csv": ("2025-12-31", "2026-01-02")}, "line 23, column date: 2026-01-02 is after as_of"),
    (
        "far apart",
        {"history__csv": ("2025-12-31", "2026-03-01"), "margin__toml": ("2026-01-01", "2026-03-02")},
        "line 23, column date: 2026-03-01 is 61 days after 2025-12-30",
    ),
    ("too short", {"margin__toml": ("lookback = 20", "lookback = 22")}, "too short: 22 rows up to as_of; expected 23"),
]


@pytest.mark.parametrize(
    ("changes", "said"),
    [pytest.param(changes, said, id=name) for name, changes, said in NUMBERS + TEXT + FILES + ROWS + HISTORY],
)
def test_is_found(tmp_path, capsys, changes, said):
    book = write(tmp_path / "book", **changes)
    assert main(["run", str(book)]) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert "; nothing was written" in errors.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["book"]


def test_the_base_book_is_valid(tmp_path, capsys):
    assert main(["validate", str(write(tmp_path / "book"))]) == 0
    assert "error:" not in capsys.readouterr().err


@pytest.mark.parametrize("word", ["spot", "iv"])
def test_a_constant_factor_is_found(tmp_path, capsys, word):
    days = range(10, 32)
    spot, iv = ("1", "0.{}") if word == "spot" else ("{}", "0.5")
    rows = [f"2025-12-{d},{spot.format(d)},{d},{iv.format(d)},1.1\n" for d in days]
    book = write(tmp_path / "book", history__csv="date,spot:BTC,spot:EUX,iv:BTC:30d,fx:EUR\n" + "".join(rows))
    assert main(["validate", str(book)]) == 2
    errors = capsys.readouterr().err
    assert (
        f"history.csv, column {'spot:BTC' if word == 'spot' else 'iv:BTC:30d'}: constant over the look-back" in errors
    )
    assert "fx:EUR: constant" not in errors, "a peg is a note"


def test_two_columns_for_one_tenor(tmp_path, capsys):
    rows = [f"2025-12-{d},{d},{d},{d},{d},{d}\n" for d in range(10, 32)]
    header = "date,spot:BTC,spot:EUX,iv:BTC:12m,fx:EUR,iv:BTC:1y\n"
    assert main(["validate", str(write(tmp_path / "book", history__csv=header + "".join(rows)))]) == 2
    said = "history.csv, column iv:BTC:1y: the same factor and tenor as column iv:BTC:12m"
    assert said in capsys.readouterr().err


def test_everything_is_reported_in_one_go(tmp_path, capsys):
    book = write(
        tmp_path / "book",
        positions__csv=P + "A1,BTC-C,abc\nA1,EUX-S,1\n",
        fx__csv=("1.1", "0"),
        history__csv=("spot:EUX", "spot:XYZ"),
        margin__toml=('"USD"', '"USD"\nlevel = 2'),
    )
    assert main(["validate", str(book), "--quiet"]) == 2
    lines = capsys.readouterr().err.splitlines()
    starts = ["margin.toml, key level: 2", "positions.csv line 2", "fx.csv line 2", "history.csv, column spot:EUX"]
    assert all(any(line.startswith(f"error: {start}") for line in lines) for start in starts), lines
    assert lines[4:] == ["4 errors in 4 tables; nothing was written"]


def test_ten_of_a_kind_and_a_hundred_in_all(tmp_path, capsys):
    write(tmp_path / "many", positions__csv=P + "A1,BTC-C,abc\n" * 10_000)
    assert main(["validate", str(tmp_path / "many")]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note:")]
    assert sum(line.startswith("error: positions.csv line") for line in lines) == 10
    assert "… and 9,990 more like it" in lines[10]
    assert lines[11] == "10,000 errors in 1 table; nothing was written"

    kinds = ["A1,BTC-C,x", "A1,BTC-C,nan", "A1,X,1", ",BTC-C,1", "A1,,1", "A1,BTC-C,", "A1", "\x01,BTC-C,1"]
    book = write(
        tmp_path / "kinds",
        positions__csv=P + "".join(f"{row}\n" * 11 for row in kinds),
        underlyings__csv=U + ",,,a,a,-1,-1,-1\n" * 11,
        vols__csv=V + "X,x,-1,-1\n" * 11,
    )
    assert main(["validate", str(book)]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("error:") for line in errors) == 100
    assert "the first 100 of" in errors[-2]


def test_an_existing_out_is_untouched(tmp_path, capsys):
    book = write(tmp_path / "book", fx__csv=("1.1", "x"))
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert main(["run", str(book), "--out", str(out)]) == 2
    assert "fx.csv line 2" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


def test_no_book(tmp_path, capsys):
    assert main(["validate", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err

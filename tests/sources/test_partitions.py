"""Folders of parts: local, by path and by file://, partitioned, and by patterns."""

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from sources.source_books import moved, name_sources, notes, outputs, parquet, read, wrong

from gpu_var.tables.sources import changed, digests, in_folder


def hive(table, folder, *keys):
    flavour = ds.partitioning(table.select(list(keys)).schema, flavor="hive")
    ds.write_dataset(table, folder, format="parquet", partitioning=flavour)


def test_positions_by_account_and_instrument(book, expected, tmp_path):
    hive(moved(book, "positions")["positions"], book / "parts", "account", "instrument")
    name_sources(book, positions="parts")
    assert outputs(book, tmp_path / "out") == expected


@pytest.mark.parametrize("form", ["../tree/{}", "file://{root}/tree/{}", "{root}/tree/{}/"])
def test_other_tables_by_their_columns(book, expected, tmp_path, form):
    """Text, a number and a time may stand in the folders' names."""
    tables = moved(book, "underlyings", "vols", "accounts")
    hive(tables["underlyings"], tmp_path / "tree" / "underlyings", "currency", "spot")
    vols = tables["vols"].set_column(1, "expiry", pa.array(["2026-03-20"] * 2))
    hive(vols, tmp_path / "tree" / "vols", "expiry", "strike")
    accounts = tables["accounts"].append_column("kind", pa.array(["client"] * 6))
    hive(accounts, tmp_path / "tree" / "accounts", "kind")
    name_sources(book, **{name: form.format(name, root=tmp_path) for name in tables})
    assert outputs(book, tmp_path / "out") == expected


def test_history_in_parts(book, expected, tmp_path):
    history = moved(book, "history")["history"]
    parquet(history.slice(0, 30), book / "levels" / "2025-11.parquet")
    parquet(history.slice(30), book / "levels" / "2025-12.parquet")
    name_sources(book, history="levels/")
    assert outputs(book, tmp_path / "out") == expected


def test_the_row_is_that_of_the_part(book):
    history = moved(book, "history")["history"]
    parquet(history.slice(30), book / "levels" / "a.parquet")
    parquet(history.slice(0, 30), book / "levels" / "b.parquet")
    name_sources(book, history="levels/")
    [line, _] = wrong(book)
    assert line.startswith(
        f"error: history ({book}/levels/b.parquet) row 1, column date: 2025-11-01 comes after 2025-12-30 on "
    )


def test_a_pattern(book, expected, tmp_path):
    positions = moved(book, "positions")["positions"]
    parquet(positions.slice(0, 7), book / "in" / "desk=a" / "eod-1.parquet")
    parquet(positions.slice(7), book / "in" / "desk=b" / "x" / "eod-2.parquet")
    parquet(positions, book / "in" / "desk=b" / "intraday-1.parquet")
    name_sources(book, positions="in/**/eod-*.parquet")
    assert outputs(book, tmp_path / "out") == expected
    assert "ignored columns: desk (positions (in/**/eod-*.parquet), in the names of folders)" in notes(book)
    name_sources(book, positions="in/*/eod-*.parquet")
    assert len(read(book).files["positions"]) == 1
    name_sources(book, positions="in/*.parquet")
    assert wrong(book)[0] == (
        "error: positions (in/*.parquet): matches no files; expected a file, or a folder with the parts of positions "
        "in Parquet or Arrow"
    )


@pytest.mark.parametrize("key", ["date={:04}-{:02}-{:02}", "dt={:04}{:02}{:02}", "year={:04}/month={:02}/day={:02}"])
def test_several_days_are_not_added_up(book, key):
    positions = moved(book, "positions")["positions"]
    for day in (2, 5):
        parquet(positions, book / "eod" / key.format(2026, 1, day) / "a.parquet")
    name_sources(book, positions="eod")
    line = wrong(book)[0]
    assert line.startswith("error: positions (eod): the parts of 2 values of ")
    assert "which is no column of positions; expected those of one day: name its folder, as in" in line
    name_sources(book, positions=f"eod/{key.format(2026, 1, 5)}")
    assert read(book).positions.quantity.sum() == positions["quantity"].to_numpy().sum()


def test_a_column_in_the_file_and_in_the_folder(book):
    positions = moved(book, "positions")["positions"]
    parquet(positions, book / "eod" / "account=plain" / "a.parquet")
    name_sources(book, positions="eod")
    assert wrong(book)[0] == (
        f"error: positions ({book}/eod/account=plain/a.parquet), column account: repeated; expected one column of a "
        "name"
    )


def test_a_folder_whose_name_is_no_number(book):
    positions = moved(book, "positions")["positions"].select(["account", "instrument"])
    parquet(positions.slice(0, 1), book / "eod" / "quantity=many" / "a.parquet")
    name_sources(book, positions="eod")
    assert wrong(book)[0] == (
        f"error: positions ({book}/eod/quantity=many/a.parquet) row 1, column quantity: 'many' is not a number; "
        "expected a finite number of contracts"
    )


def test_a_null_partition(book):
    positions = moved(book, "positions")["positions"].select(["instrument", "quantity"])
    parquet(positions.slice(0, 1), book / "eod" / "account=__HIVE_DEFAULT_PARTITION__" / "a.parquet")
    name_sources(book, positions="eod")
    assert wrong(book)[0].endswith(" row 1, column account: null; expected the account's name")


def test_times_of_two_types(book):
    history = moved(book, "history")["history"]
    parquet(history.slice(0, 30), book / "levels" / "a.parquet")
    later = history.slice(30)
    parquet(later.set_column(0, "date", later["date"].cast(pa.date32())), book / "levels" / "b.parquet")
    name_sources(book, history="levels")
    assert wrong(book)[0].startswith(
        f"error: history ({book}/levels/b.parquet), column date: of type date32[day], and timestamp[us, tz=UTC] in"
    )


def test_a_part_without_values_takes_the_type_of_the_others(book, expected, tmp_path):
    """The expiry of a part that holds nothing but shares is of no type."""
    instruments = moved(book, "instruments")["instruments"]
    bare = instruments.slice(0, 1).set_column(4, "expiry", pa.nulls(1))
    parquet(bare, book / "in" / "a.parquet")
    parquet(instruments.slice(1), book / "in" / "b.parquet")
    name_sources(book, instruments="in")
    assert outputs(book, tmp_path / "out") == expected


def test_parts_of_another_kind(book):
    parquet(moved(book, "positions")["positions"], book / "eod" / "a.parquet")
    (book / "eod" / "b.txt").write_text("x")
    name_sources(book, positions="eod")
    assert wrong(book)[0] == (
        f"error: positions ({book}/eod/b.txt): neither Parquet nor Arrow; expected nothing but parts in Parquet or "
        "Arrow here"
    )


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("none.parquet", "nothing there; expected a file, or a folder with the parts of positions"),
        ("margin.toml", "a file of an unknown kind; expected its name to end in .parquet, .arrow, .csv"),
        ("ftp://host/positions", "unknown kind of URI; expected s3://, gs://, file:// or another"),
        ("s3://bucket/p?regoin=x", "unknown parameter regoin; expected region, endpoint_override, scheme or anonymous"),
    ],
)
def test_what_is_no_source(book, uri, said):
    moved(book, "positions")
    name_sources(book, positions=uri)
    assert wrong(book)[0].startswith(f"error: positions ({uri.partition('?')[0]}): {said}")


def test_a_file_of_the_folder_gives_way(book, expected, tmp_path):
    parquet(moved(book, "positions")["positions"], tmp_path / "p.parquet")
    (book / "positions.csv").write_text("account,instrument,quantity\nplain,X,1e9\n")
    name_sources(book, positions="../p.parquet")
    assert outputs(book, tmp_path / "out") == expected
    assert notes(book) == ["ignored files, as [sources] names their tables: positions.csv"]


@pytest.mark.parametrize("uri", ["positions.csv", "./positions.csv", "file://{}/positions.csv", "{}/positions.csv"])
def test_a_source_in_the_folder_is_no_ignored_file(book, expected, tmp_path, uri):
    name_sources(book, positions=uri.format(book))
    assert outputs(book, tmp_path / "out") == expected
    assert notes(book) == []


def test_what_was_replaced_since_is_named(book, tmp_path):
    file = parquet(moved(book, "positions")["positions"], tmp_path / "p.parquet")
    name_sources(book, positions="../p.parquet")
    found = read(book)
    assert changed(found) == []
    assert list(digests(found)) == ["positions (../p.parquet)"]
    assert "positions" not in in_folder(found)
    assert set(in_folder(found)) == {"instruments", "underlyings", "vols", "accounts", "history"}
    parquet(pa.table({"account": ["a"]}), file)
    assert changed(found) == [file]
    file.unlink()
    assert changed(found) == [file]

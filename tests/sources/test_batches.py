"""Positions read batch by batch, answers cut into batches, and what is left of copies."""

import contextlib
import hashlib
import pickle
import resource

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest
from sources.source_books import moved, name_sources, parquet, read, typed

from gpu_var.cli import main
from gpu_var.tables.batches import SCHEMA, iter_positions
from gpu_var.tables.schema import HISTORY, POSITIONS
from gpu_var.tables.source_answer import AnswerError, Digest, write_answer
from gpu_var.tables.source_files import Spool, SpoolError


def arrow(table, path, chunk=4):
    pyarrow.feather.write_feather(table, path, compression="uncompressed", chunksize=chunk)


def stream(table, path):
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=4)


def folder(table, path):
    parquet(table.slice(0, 7), path / "a.parquet", row_group_size=3)
    parquet(table.slice(7), path / "b.parquet")


FORMS = {
    "csv": lambda _, __: None,
    "parquet": lambda table, book: parquet(table, book / "positions.parquet", row_group_size=4),
    "arrow": lambda table, book: arrow(table, book / "positions.arrow"),
    "stream": lambda table, book: stream(table, book / "positions.arrow"),
    "folder": lambda table, book: folder(table, book / "positions"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rows", [2, 1 << 17])
def test_batches_are_the_rows_in_their_order(book, form, rows):
    wanted = typed(book, "positions")
    if form != "csv":
        moved(book, "positions")
        FORMS[form](wanted, book)
    batches = list(iter_positions(read(book), rows))
    assert all(batch.schema == SCHEMA and 0 < batch.num_rows <= rows for batch in batches)
    assert len(batches) > 1 or rows > 2
    assert pa.Table.from_batches(batches).cast(wanted.schema).equals(wanted)


def test_columns_of_folder_names_are_in_the_batches(book):
    table = moved(book, "positions")["positions"].sort_by("account")
    for at, name in enumerate(["plain", "../x"]):
        rows = table.filter(pa.compute.equal(table["account"], name)).drop_columns("account")
        escaped = name.replace("/", "%2F")
        parquet(rows, book / "in" / f"account={escaped}" / f"{at}.parquet")
    name_sources(book, positions="in")
    (book / "accounts.csv").unlink()
    found = pa.Table.from_batches(list(iter_positions(read(book))))
    assert found["account"].to_pylist() == ["../x"] * 3 + ["plain"] * 3
    assert found["quantity"].to_pylist() == [100.0, -10.0, 0.0, 12.0, 0.0, 1.0]


def rows(table):
    return [*table.to_batches()]


def digest(table, data):
    found = Digest(table)
    for batch in data:
        found.update(batch)
    return found.hexdigest()


def test_a_digest_is_of_content():
    table = pa.table({"account": ["a", None, "ü", ""], "instrument": ["x", "y", "z", "z"], "quantity": [1, 2, None, 4]})
    first = digest(POSITIONS, rows(table))
    assert digest(POSITIONS, [*rows(table.slice(0, 1)), *rows(table.slice(1, 0)), *rows(table.slice(1))]) == first
    other = table.select(["quantity", "instrument", "account"]).append_column("seen", [[1] * 4])
    floats = other.set_column(0, "quantity", other["quantity"].cast(pa.float64()))
    assert digest(POSITIONS, rows(floats)) == first
    encoded = table.set_column(1, "instrument", table["instrument"].cast(pa.large_string()))
    assert digest(POSITIONS, rows(encoded)) == first


@pytest.mark.parametrize(
    "changed",
    [
        {"account": ["a", "", "ü", ""]},
        {"account": ["aü", None, "", ""]},
        {"quantity": [1, 2, 0, 4]},
        {"quantity": [1, None, 2, 4]},
        {"quantity": [2, 1, None, 4]},
        {"instrument": None},
    ],
)
def test_any_other_content_has_another(changed):
    columns = {"account": ["a", None, "ü", ""], "instrument": ["x", "y", "z", "z"], "quantity": [1, 2, None, 4]}
    first = digest(POSITIONS, rows(pa.table(columns)))
    other = pa.table({name: values for name, values in {**columns, **changed}.items() if values is not None})
    assert digest(POSITIONS, rows(other)) != first


def test_times_count_by_their_moment():
    date = np.array(["2025-11-01", "2025-11-02"], "datetime64[D]")
    forms = [pa.array(date), *(pa.array(date.astype(f"datetime64[{unit}]")) for unit in ("s", "ms", "us", "ns"))]
    found = {digest(HISTORY, rows(pa.table({"date": form, "spot:X": [1.0, 2.0]}))) for form in forms}
    assert len(found) == 1
    assert found != {digest(HISTORY, rows(pa.table({"date": forms[0], "spot:Y": [1.0, 2.0]})))}


def test_a_digest_is_fixed():
    """What run.json holds is compared with what a later version computes."""
    table = pa.table({"account": ["a"], "instrument": ["x"], "quantity": [1.5]})

    def sha(data):
        return hashlib.sha256(data).hexdigest()

    one, eight, none = sha(b"\x01"), (1).to_bytes(8, "little"), sha(b"")
    text = {name: f"{one} {sha(eight)} {sha(value)}" for name, value in {"account": b"a", "instrument": b"x"}.items()}
    lines = ["positions 1", f"7 account {text['account']}", f"10 instrument {text['instrument']}"]
    lines.append(f"8 quantity {one} {none} {sha(np.float64(1.5).tobytes())}")
    assert digest(POSITIONS, rows(table)) == sha(("\n".join(lines) + "\n").encode())


def test_a_full_disk_is_told_by_the_file(tmp_path):
    table = pa.table({"account": ["a"], "instrument": ["x"], "quantity": [1.5]})
    with pytest.raises(SpoolError, match="TMPDIR") as caught:
        write_answer(tmp_path / "none" / "positions.arrow", POSITIONS, table.schema, rows(table), untyped=False)
    assert caught.value.filename == str(tmp_path / "none" / "positions.arrow")


@contextlib.contextmanager
def no_file_beyond(size):
    """A disk that is full, as far as one file can tell."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_before_the_end(tmp_path):
    """Neither a finding nor a file cut short: the run cannot go on, for a reason outside the input."""
    draw = np.random.default_rng(7)
    batches = [pa.RecordBatch.from_pydict({"quantity": draw.random(70_000)}) for _ in range(4)]
    with no_file_beyond(1 << 20), pytest.raises(SpoolError, match="TMPDIR") as caught:
        write_answer(tmp_path / "p.arrow", POSITIONS, batches[0].schema, batches, untyped=False)
    assert caught.value.filename == str(tmp_path / "p.arrow")


def test_a_full_disk_ends_the_command(book, tmp_path, capfd):
    moved(book, "positions")
    query = "select 'a' || md5(i::varchar) as account, 'X' as instrument, random() as quantity from range(200_000) t(i)"
    duckdb.connect(str(tmp_path / "a.db")).close()
    name_sources(book, positions={"database": "duckdb", "uri": "../a.db", "query": query})
    with no_file_beyond(1 << 20):
        assert main(["validate", str(book), "--quiet"]) == 1
    said = capfd.readouterr().err
    assert said.startswith("error: ")
    assert "positions.arrow: " in said
    assert "(TMPDIR)" in said


def test_types_that_change_between_batches_are_told(tmp_path):
    batches = [
        pa.RecordBatch.from_pydict({"account": ["a"] * 70_000, "quantity": pa.nulls(70_000, pa.int64())}),
        pa.RecordBatch.from_pydict({"account": ["a"], "quantity": [1]}),
    ]
    with pytest.raises(AnswerError, match="column quantity: null in the first rows and int64 in later ones"):
        write_answer(tmp_path / "p.arrow", POSITIONS, batches[0].schema, batches, untyped=True)


def test_a_book_may_travel(book, tmp_path):
    """To another process, which does not remove the copies of this one."""
    moved(book, "vols")
    name_sources(
        book,
        vols={
            "database": "duckdb",
            "uri": "../a.db",
            "query": "select 'X' as underlying, date '2026-03-20' as expiry, 100 as strike, 0.2 as iv",
        },
    )

    duckdb.connect(str(tmp_path / "a.db")).close()
    found = read(book)
    again = pickle.loads(pickle.dumps(found))
    file = again.sources["vols"].paths[0]
    assert again.label("vols") == "vols (query)"
    del again
    assert file.exists()
    del found
    assert not file.exists()


def test_a_spool_goes_with_its_last_user():
    spool = Spool()
    (spool.path / "x").write_text("x")
    where = spool.path
    other = {"spool": spool}
    del spool
    assert where.exists()
    other.clear()
    assert not where.exists()

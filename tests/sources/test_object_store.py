"""Tables from a store that speaks S3, over HTTP."""

import hashlib
import urllib.request

import boto3
import pyarrow.dataset as ds
import pytest
from sources.source_books import TABLES, moved, name_sources, notes, outputs, parquet, read, typed, wrong

SECRET = "sehr-geheimer-schluessel"


def put(bucket, folder, tables, **options):
    for name, table in tables.items():
        bucket.put(f"eod/{name}.parquet", parquet(table, folder / f"{name}.parquet", **options))


def test_a_whole_book_comes_to_the_same_bytes(book, bucket, expected, tmp_path):
    put(bucket, tmp_path / "objects", moved(book, *TABLES))
    name_sources(book, **{name: bucket.uri(f"eod/{name}.parquet") for name in TABLES})
    assert outputs(book, tmp_path / "out") == expected


def test_csv_and_arrow_are_read_as_from_a_folder(book, bucket, expected, tmp_path):
    bucket.put("in/positions.csv", book / "positions.csv")
    bucket.put("in/history.csv", book / "history.csv")
    moved(book, "positions", "history")
    name_sources(book, positions=bucket.uri("in/positions.csv"), history=bucket.uri("in/history.csv"))
    assert outputs(book, tmp_path / "out") == expected


def test_the_store_may_stand_in_the_uri(book, bucket, store, expected, tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    put(bucket, tmp_path / "objects", moved(book, "positions"))
    options = f"endpoint_override={store.removeprefix('http://')}&scheme=http&region=us-east-1"
    name_sources(book, positions=f"{bucket.uri('eod/positions.parquet')}?{options}")
    assert outputs(book, tmp_path / "out") == expected
    assert read(book).label("positions") == f"positions ({bucket.uri('eod/positions.parquet')})"


def test_a_folder_of_partitioned_parts(book, bucket, expected, tmp_path):
    """Account and instrument stand in the folders' names alone, escaped, as Spark and Arrow write them."""
    positions = moved(book, "positions")["positions"]
    local = tmp_path / "parts"
    write_hive(positions, local, ["account", "instrument"])
    for file in local.rglob("*.parquet"):
        bucket.put(f"eod/positions/{file.relative_to(local).as_posix()}", file)
    (tmp_path / "_SUCCESS").write_bytes(b"")
    bucket.put("eod/positions/_SUCCESS", tmp_path / "_SUCCESS")
    name_sources(book, positions=bucket.uri("eod/positions/"))
    assert outputs(book, tmp_path / "out") == expected
    assert f"ignored files: {bucket.uri('eod/positions/_SUCCESS')}" in notes(book)
    assert len(read(book).sources["positions"].digests) == 15


def write_hive(table, folder, keys):
    flavour = ds.partitioning(table.select(keys).schema, flavor="hive")
    ds.write_dataset(table, folder, format="parquet", partitioning=flavour)


def test_the_digest_is_that_of_the_bytes(book, bucket, tmp_path):
    put(bucket, tmp_path / "objects", moved(book, "positions"))
    uri = bucket.uri("eod/positions.parquet")
    name_sources(book, positions=uri)
    content = (tmp_path / "objects" / "positions.parquet").read_bytes()
    digests = read(book).sources["positions"].digests
    assert digests == {f"positions ({uri})": hashlib.sha256(content).hexdigest()}


def test_findings_name_the_object_and_its_row(book, bucket, tmp_path):
    positions = moved(book, "positions")["positions"]
    bad = positions.slice(0, 5).set_column(2, "quantity", [[1.0, 2.0, None, 4.0, 5.0]])
    bucket.put("eod/p/a.parquet", parquet(positions.slice(5), tmp_path / "a.parquet"))
    bucket.put("eod/p/b.parquet", parquet(bad, tmp_path / "b.parquet"))
    name_sources(book, positions=bucket.uri("eod/p/"))
    assert wrong(book) == [
        f"error: positions ({bucket.uri('eod/p/b.parquet')}) row 3, column quantity: null; expected a finite number of "
        "contracts",
        "1 error in 1 table; nothing was written",
    ]


def test_an_object_cut_short(book, bucket, tmp_path):
    file = parquet(moved(book, "positions")["positions"], tmp_path / "a.parquet")
    file.write_bytes(file.read_bytes()[:-9])
    bucket.put("a.parquet", file)
    name_sources(book, positions=bucket.uri("a.parquet"))
    assert wrong(book)[0].startswith(f"error: positions ({bucket.uri('a.parquet')}): truncated, or not a Parquet file")


@pytest.mark.parametrize("key", ["none.parquet", "none/", "none/*.parquet"])
def test_a_missing_object(book, bucket, key):
    moved(book, "positions")
    uri = bucket.uri(key)
    name_sources(book, positions=uri)
    line = wrong(book)[0]
    assert line.startswith(f"error: positions ({uri}): nothing there; expected a file, or a folder with the parts of")
    assert "AWS_ACCESS_KEY_ID" in line


def test_a_missing_bucket(book, bucket):
    moved(book, "positions")
    name_sources(book, positions="s3://no-such-bucket-anywhere/positions/")
    [line, _] = wrong(book)
    assert line.startswith("error: positions (s3://no-such-bucket-anywhere/positions/): ")
    assert "; expected credentials, region" in line or "expected a file" in line


@pytest.fixture
def locked(bucket, store):
    """A store that asks for permission from now on, and for which these credentials have none."""
    iam = boto3.client("iam")
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    iam.close()
    reset(store, "0")
    yield key
    reset(store, "10000000")


def reset(store, count):
    request = urllib.request.Request(
        f"{store}/moto-api/reset-auth", data=count.encode(), headers={"Content-Type": "text/plain"}
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


def test_no_permission(book, bucket, locked, tmp_path, monkeypatch):
    moved(book, "positions")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", locked["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", locked["SecretAccessKey"])
    name_sources(book, positions=bucket.uri("eod/positions.parquet"))
    [line, _] = wrong(book)
    assert line.startswith(f"error: positions ({bucket.uri('eod/positions.parquet')}): cannot be read (")
    assert "ACCESS_DENIED" in line
    assert "; expected credentials, region and endpoint in the environment" in line
    assert locked["SecretAccessKey"] not in line


def test_no_store(book, bucket, monkeypatch):
    moved(book, "positions")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    name_sources(book, positions=bucket.uri("eod/positions.parquet"))
    [line, _] = wrong(book)
    assert line.startswith(f"error: positions ({bucket.uri('eod/positions.parquet')}): cannot be read (")
    assert "NETWORK_CONNECTION" in line
    assert SECRET not in line


def test_every_object_is_fetched_once(book, bucket, tmp_path, monkeypatch):
    """What is hashed is what is read: an object that is replaced meanwhile changes nothing."""
    tables = {"history": typed(book, "history")}
    put(bucket, tmp_path / "objects", tables)
    moved(book, "history")
    name_sources(book, history=bucket.uri("eod/history.parquet"))
    found = read(book)
    bucket.client.delete_object(Bucket=bucket.name, Key="eod/history.parquet")
    assert found.files["history"][0].stat().st_size > 0
    where = found.sources["history"].spool.path
    assert where.stat().st_mode & 0o077 == 0
    del found
    assert not where.exists()

"""Tables from gs://, over HTTP."""

from sources.google import BUCKET, google
from sources.source_books import moved, name_sources, outputs, parquet, read, wrong


def test_parts_and_a_single_object_come_to_the_same_bytes(book, expected, tmp_path):
    tables = moved(book, "positions", "history")
    objects = {
        "eod/positions/a.parquet": parquet(tables["positions"].slice(0, 7), tmp_path / "a.parquet").read_bytes(),
        "eod/positions/b.parquet": parquet(tables["positions"].slice(7), tmp_path / "b.parquet").read_bytes(),
        "eod/history.parquet": parquet(tables["history"], tmp_path / "h.parquet").read_bytes(),
    }
    with google(objects) as address:
        options = f"endpoint_override={address}&scheme=http"
        history = f"gs://anonymous@{BUCKET}/eod/history.parquet?{options}"
        name_sources(book, positions=f"gs://anonymous@{BUCKET}/eod/positions/?{options}", history=history)
        assert outputs(book, tmp_path / "out") == expected
        assert list(read(book).sources["positions"].digests) == [
            f"positions (gs://anonymous@{BUCKET}/eod/positions/{part}.parquet)" for part in "ab"
        ]
        name_sources(book, positions=f"gs://anonymous@{BUCKET}/eod/*/b.parquet?{options}", history=history)
        assert len(read(book).files["positions"]) == 1
        name_sources(book, positions=f"gs://anonymous@{BUCKET}/none/?{options}", history=history)
        assert wrong(book)[0].startswith(f"error: positions (gs://anonymous@{BUCKET}/none/): nothing there; expected a")


def test_no_server(book):
    """Soon, and not after the quarter of an hour that the client would wait."""
    moved(book, "positions")
    options = "endpoint_override=127.0.0.1:9&scheme=http&retry_limit_seconds=1"
    name_sources(book, positions=f"gs://anonymous@{BUCKET}/positions/?{options}")
    line = wrong(book)[0]
    assert line.startswith(f"error: positions (gs://anonymous@{BUCKET}/positions/): cannot be read (")
    assert "; expected credentials in the environment (GOOGLE_APPLICATION_CREDENTIALS)" in line

import boto3
import pytest
from sources import servers, source_books


@pytest.fixture
def book(tmp_path):
    """A book in CSV, with everything in its folder."""
    return source_books.folder(tmp_path / "book")


@pytest.fixture(scope="session")
def expected(tmp_path_factory):
    """What the book comes to when it is read from its folder."""
    path = tmp_path_factory.mktemp("expected")
    return source_books.outputs(source_books.folder(path / "book"), path / "out")


@pytest.fixture(scope="session")
def postgresql():
    """The URI of a PostgreSQL server of this test process's own."""
    programs = servers.postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL here: initdb and postgres are neither on PATH nor in /usr/lib/postgresql")
    with servers.postgres(programs) as uri:
        yield uri


@pytest.fixture(scope="session")
def store():
    """The address of an S3 store of this test process's own."""
    with servers.store() as address:
        yield address


@pytest.fixture
def bucket(store, monkeypatch, request):
    """An empty bucket of a store that the environment names, and a client to fill it."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "sehr-geheimer-schluessel",
        "AWS_ENDPOINT_URL": store,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    name = f"b{abs(hash(request.node.nodeid)):x}"
    client.create_bucket(Bucket=name)
    yield Bucket(name, client)
    client.close()


class Bucket:
    def __init__(self, name, client):
        self.name = name
        self.client = client

    def put(self, key, file):
        self.client.put_object(Bucket=self.name, Key=key, Body=file.read_bytes())

    def uri(self, key=""):
        return f"s3://{self.name}/{key}"

"""The same bytes from every kind of origin: Azure by each way to name it, S3, http, file."""

import datetime as dt
import os
from pathlib import Path
from urllib.parse import quote

import pytest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from harness.client import raises_kind
from harness.node import Dataset, Store, serving, store
from harness.stores import ACCOUNT, ACCOUNT_KEY, Azurite, BlobContainer, Bucket, Place
from harness.tables import assert_same, pieces, tpch

NAMES = ["a.parquet", "b c/100%.parquet"]


def fill(place: Place) -> None:
    """Put orders in two files with awkward names."""
    for name, data in zip(NAMES, pieces(tpch("orders"), 2, 4000), strict=True):
        place.put(f"orders/{name}", data)


def check(url: str, *stores: Store, requests: bool = True, **environment: str) -> None:
    """Serve `url` and read it cold and warm."""
    with serving([Dataset("orders", url)], stores, environment) as node, node.client() as client:
        assert_same(client.read("orders"), tpch("orders"))
        cold = node.stats()["origin"]
        assert (cold["requests"] > 0) is requests
        assert_same(client.read("orders"), tpch("orders"))
        assert node.stats()["origin"]["requests"] == cold["requests"]


def test_azure_by_container(fresh: BlobContainer) -> None:
    """`az://CONTAINER/` with account, key and endpoint as options."""
    fill(fresh)
    check(fresh.url("orders/"), store(fresh))


@pytest.mark.parametrize("scheme", ["abfss", "abfs"])
def test_azure_by_data_lake_url(fresh: BlobContainer, scheme: str) -> None:
    """`abfss://CONTAINER@ACCOUNT...`, as Spark writes it."""
    fill(fresh)
    prefix = f"{scheme}://{fresh.name}@{ACCOUNT}.dfs.core.windows.net"
    check(f"{prefix}/orders/", Store(prefix, fresh.options()))


def test_azure_emulator(fresh: BlobContainer) -> None:
    """`use_emulator`, whose address comes from the environment as the cloud's tools read it."""
    fill(fresh)
    options = {"use_emulator": "true"}
    check(
        fresh.url("orders/"),
        Store(fresh.url().rstrip("/"), options),
        AZURITE_BLOB_STORAGE_URL=fresh.endpoint,
    )


def test_azure_credentials_from_the_environment(fresh: BlobContainer) -> None:
    """Without options, account and key are those of the environment."""
    fill(fresh)
    check(
        fresh.url("orders/"),
        AZURE_STORAGE_ACCOUNT_NAME=ACCOUNT,
        AZURE_STORAGE_ACCOUNT_KEY=ACCOUNT_KEY,
        AZURE_STORAGE_ENDPOINT=f"{fresh.endpoint}/{ACCOUNT}",
        AZURE_ALLOW_HTTP="true",
    )


def sas(container: BlobContainer, lifetime: dt.timedelta) -> str:
    """Return a shared access signature to list and read."""
    return generate_container_sas(
        ACCOUNT,
        container.name,
        account_key=ACCOUNT_KEY,
        permission=ContainerSasPermissions(read=True, list=True),
        expiry=dt.datetime.now(dt.UTC) + lifetime,
    )


def with_sas(container: BlobContainer, token: str) -> Store:
    """Return a store that knows a signature and no key."""
    options = {key: value for key, value in container.options().items() if key != "account_key"}
    return Store(container.url().rstrip("/"), options | {"sas_token": token})


def test_azure_sas(fresh: BlobContainer) -> None:
    """A shared access signature instead of a key."""
    fill(fresh)
    check(fresh.url("orders/"), with_sas(fresh, sas(fresh, dt.timedelta(hours=1))))


def test_expired_sas_is_denied_and_not_repeated(fresh: BlobContainer) -> None:
    """An old signature is Denied; neither the answer nor the log holds it."""
    fill(fresh)
    token = sas(fresh, dt.timedelta(hours=-1))
    signature = token.split("sig=")[1].split("&")[0]
    datasets = [Dataset("orders", fresh.url("orders/"))]
    with serving(datasets, [with_sas(fresh, token)]) as node, node.client() as client:
        node.allowed.append("(?i)denied|origin|orders")
        with raises_kind("Denied", "orders"):
            client.info("orders")
        with pytest.raises(Exception, match="orders") as caught:
            client.read("orders")
        assert signature not in str(caught.value)
        assert signature not in node.log()


def test_s3(bucket: Bucket) -> None:
    """S3 with an endpoint of one's own, buckets in the path."""
    fill(bucket)
    check(bucket.url("orders/"), store(bucket))


def test_s3_credentials_from_the_environment(bucket: Bucket) -> None:
    """Without options, as the AWS tools read them."""
    fill(bucket)
    check(
        bucket.url("orders/"),
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_REGION="us-east-1",
        AWS_ENDPOINT=bucket.endpoint,
        AWS_ALLOW_HTTP="true",
    )


def test_file(tmp_path: Path) -> None:
    """A folder of this machine."""
    for name, data in zip(NAMES, pieces(tpch("orders"), 2, 4000), strict=True):
        path = tmp_path / "my data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    check(f"file://{quote(str(tmp_path / 'my data'))}/")


def test_file_overwritten_within_a_second(tmp_path: Path) -> None:
    """A local file's version tells apart two contents of one size, written at once."""
    tables = [tpch("nation"), tpch("nation").take(list(range(24, -1, -1)))]
    files = [pieces(table, 1, 100, compression="none", use_dictionary=False)[0] for table in tables]
    path = tmp_path / "0.parquet"
    path.write_bytes(files[0])
    os.utime(path, (1, 1))
    with serving([Dataset("n", f"file://{tmp_path}/", "0s")]) as node, node.client() as client:
        assert_same(client.read("n"), tables[0])
        path.write_bytes(files[1])
        assert_same(client.read("n"), tables[1])


def test_urls_do_not_climb_out(tmp_path: Path) -> None:
    """A `file://` dataset is its folder."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "0.parquet").write_bytes(pieces(tpch("nation"), 1, 100)[0])
    with serving([Dataset("n", f"file://{inside}/")]) as node, node.client() as client:
        for url in (f"file://{inside}/../secret/", f"file://{inside}/%2e%2e/secret/"):
            with pytest.raises(Exception, match="dataset"):
                client.info(url=url)
        assert client.read("n").num_rows == 25


def test_http(azurite: Azurite) -> None:
    """A file behind a plain web server; listing such a server is not asked for."""
    public = azurite.container(f"p{os.urandom(8).hex()}", public=True)
    data = pieces(tpch("orders"), 1, 4000)[0]
    public.put("orders.parquet", data)
    check(f"{public.endpoint}/{ACCOUNT}/{public.name}/orders.parquet")

"""Starting: configuration, ports, folders, credentials; what is wrong is said in one line."""

from pathlib import Path

import pyarrow as pa
import pytest

from harness.client import raises_kind
from harness.node import Dataset, Store, config, run, serving, store
from harness.proxy import proxied
from harness.stores import BlobContainer, free_port
from harness.tables import parquet, tpch


def refused(text: str, folder: Path, **environment: str) -> str:
    """Serve with that configuration, expect exit 1, and return what it said."""
    path = folder / "bad.toml"
    path.write_text(text)
    done = run("serve", "--config", path, **environment)
    assert done.returncode == 1, done
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


GOOD = config([Dataset("d", "file:///nowhere/")])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[server]\nlisten = '127.0.0.1:0'\nlisen = 1\n", ["bad.toml:3", "lisen", "listen"]),
        ("[sever]\n", ["bad.toml:1", "sever", "server"]),
        ("\n[cache]\nmemory = 'lots'\n", ["bad.toml:3", "lots", "512MiB"]),
        ("[server]\ndrain_timeout = '5 parsecs'\n", ["bad.toml:2", "parsecs", "5s"]),
        ("[server]\nlisten = 'nowhere'\n", ["bad.toml:2", "nowhere"]),
        ("[[dataset]]\nname = 'a'\n", ["bad.toml:1", "url"]),
        ("[[dataset]]\nname = 'a'\nurl = 'ftp://x/'\n", ["bad.toml:3", "ftp"]),
        ("[[dataset]]\nname = 'a/b'\nurl = 'file:///x/'\n", ["bad.toml:2", "a/b"]),
        ("[[dataset]]\nname='a'\nurl='file:///x/'\n" * 2, ["bad.toml:4", "a"]),
        ("[[dataset]]\nname='a'\nurl='file:///x/'\nformat='csv'\n", ["bad.toml:4", "csv"]),
        ("[server\n", ["bad.toml:1"]),
        ("x = \n", ["bad.toml:1"]),
    ],
    ids=lambda value: value[:50] if isinstance(value, str) else None,
)
def test_wrong_key_is_named_with_its_line(tmp_path: Path, text: str, words: list[str]) -> None:
    """`serve` and `config check` name the key, its line and a remedy."""
    said = refused(text, tmp_path)
    for word in words:
        assert word in said
    done = run("config", "check", tmp_path / "bad.toml")
    assert done.returncode == 1
    for word in words:
        assert word in done.stdout + done.stderr


def test_config_check_lists_every_problem(tmp_path: Path) -> None:
    """All at once, in the order of the file; a good file passes."""
    path = tmp_path / "bad.toml"
    path.write_text("[server]\nlisen = 1\n[cache]\nmemory = 'x'\ndik = 2\n")
    done = run("config", "check", path)
    assert done.returncode == 1
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "bad.toml:" in line]
    places = [line.split("bad.toml:")[1].split(":")[0] for line in lines]
    assert places == ["2", "4", "5"]
    path.write_text(GOOD)
    assert run("config", "check", path).returncode == 0


def test_secrets_are_never_repeated(tmp_path: Path) -> None:
    """A wrong option beside a key does not print the key."""
    options = {"account_key": "c2VjcmV0c2VjcmV0", "acount_name": "x"}
    text = config([Dataset("d", "az://c/d/")], [Store("az://c", options)])
    assert "c2VjcmV0c2VjcmV0" not in refused(text, tmp_path)
    said = refused(config([Dataset("d", "http://me:hunter2@127.0.0.1/x/")]), tmp_path)
    assert "hunter2" not in said


def test_environment_and_flags_override_the_file(tmp_path: Path) -> None:
    """FLIGHTCACHE_SECTION__KEY over the file; an unknown one is named."""
    said = refused(GOOD, tmp_path, FLIGHTCACHE_CACHE__MEMORY="lots")
    assert "FLIGHTCACHE_CACHE__MEMORY" in said
    said = refused(GOOD, tmp_path, FLIGHTCACHE_CACHE__MEMRY="1GiB")
    assert "FLIGHTCACHE_CACHE__MEMRY" in said
    done = run("serve", "--memory", "lots")
    assert done.returncode == 2
    assert "--memory" in done.stderr
    with serving([], environment={"FLIGHTCACHE_CACHE__MEMORY": "64MiB"}) as node:
        assert node.stats()["memory"]["capacity"] == 64 << 20


def test_port_taken(tmp_path: Path) -> None:
    """The line names the address."""
    with serving([]) as node:
        for key, url in (("listen", node.flight), ("admin_listen", node.admin)):
            taken = url.split("//")[1]
            said = refused(config([], server={key: taken}), tmp_path)
            assert taken in said


def test_cache_folder_that_is_a_file(tmp_path: Path) -> None:
    """A folder that cannot be written (here: is a file) is named."""
    (tmp_path / "cache").write_text("")
    said = refused(config([], cache={"dir": tmp_path / "cache", "disk": "1GiB"}), tmp_path)
    assert str(tmp_path / "cache") in said


def test_two_nodes_cannot_share_a_folder(tmp_path: Path) -> None:
    """The second one says who has it; when the first is gone the folder is free."""
    cache = {"dir": tmp_path / "cache", "disk": "1GiB"}
    with serving([], cache=cache):
        assert str(tmp_path / "cache") in refused(config([], cache=cache), tmp_path)
    with serving([], cache=cache) as node:
        assert node.get("/readyz")[0] == 200


def test_missing_configuration_file(tmp_path: Path) -> None:
    """A file that is not there is named."""
    done = run("serve", "--config", tmp_path / "none.toml")
    assert done.returncode == 1
    assert "none.toml" in done.stderr


@pytest.mark.parametrize("arguments", [["srve"], ["serve", "--nope"], ["scan"], ["--memory"]])
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    """Usage errors go to stderr with exit code 2."""
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "help" in done.stderr


def test_origin_down_is_unavailable(fresh: BlobContainer) -> None:
    """A store that nobody serves: the node starts, says Unavailable, and lists the dataset."""
    datasets = [Dataset("d", fresh.url("d/"))]
    nobody = f"http://127.0.0.1:{free_port()}"
    with serving(datasets, [store(fresh, nobody)]) as node, node.client() as client:
        node.allowed.append("(?i)origin|unavailable|dataset")
        with raises_kind("Unavailable", "d"):
            client.info("d")
        assert node.get("/livez")[0] == 200
        assert node.get("/readyz")[0] == 200


def test_wrong_credentials_are_denied(fresh: BlobContainer) -> None:
    """A wrong key is Denied, and says nothing of the key."""
    fresh.put("d/0.parquet", parquet(pa.table({"x": [1]})))
    wrong = {**fresh.options(), "account_key": "d3Jvbmdrd3Jvbmdr"}
    stores = [Store(fresh.url().rstrip("/"), wrong)]
    with serving([Dataset("d", fresh.url("d/"))], stores) as node, node.client() as client:
        node.allowed.append("(?i)denied|origin|dataset")
        with raises_kind("Denied", "d"):
            client.info("d")
        assert wrong["account_key"] not in node.log()


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, "Denied"), (503, "Unavailable"), (500, "Unavailable"), (404, "Stale")],
)
def test_store_answers(fresh: BlobContainer, status: int, kind: str) -> None:
    """What the store answers to data reads decides the kind; the node recovers by itself."""
    table = tpch("nation")
    fresh.put("d/0.parquet", parquet(table))
    with proxied(fresh.endpoint) as proxy:
        datasets = [Dataset("d", fresh.url("d/"))]
        with serving(datasets, [store(fresh, proxy.endpoint)]) as node, node.client() as client:
            node.allowed.append("(?i)d/0.parquet|origin")
            client.act("flightcache.refresh", {"dataset": "d"})
            with proxy.answering(status), raises_kind(kind, "d/0.parquet"):
                client.read("d")
            assert client.read("d").num_rows == table.num_rows
            assert node.stats()["origin"]["errors"] > 0
            if status == 503:
                assert node.stats()["origin"]["throttled"] > 0

"""A job that knows nothing of the cache, submitted with the settings that make it read from it."""

import subprocess
from pathlib import Path

import pytest

from harness.spark import (
    CLUSTER,
    DEFAULTS,
    NEWEST,
    OLDEST,
    PROGRAMS,
    VERSIONS,
    bundle,
    environment,
    plugged,
)
from harness.sparklab import Lab

# What a job says whose node did not answer in time, as on a machine that is busy.
UNANSWERED = "read without the cache (timeout)"
MASTERS = {OLDEST: CLUSTER, NEWEST: CLUSTER}


def submit(version: str, folder: Path, lake: Path, *flags: str) -> tuple[list[str], str]:
    """Run the script by `spark-submit`; return its lines, and what Spark logged."""
    folder.mkdir()
    env = environment(version, folder)
    conf = [f"--conf={name}={value}" for name, value in DEFAULTS.items()]
    command = [
        f"{env['SPARK_HOME']}/bin/spark-submit",
        "--master",
        MASTERS.get(version, "local[2]"),
    ]
    script = [str(PROGRAMS / "script.py"), lake.as_uri()]
    done = subprocess.run(
        [*command, *conf, *flags, *script],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.splitlines(), done.stderr


@pytest.mark.timeout(300)
@pytest.mark.parametrize("version", VERSIONS)
def test_unmodified_job(lab: Lab, version: str, tmp_path: Path) -> None:
    """The same lines, one jar and two settings later; and the node has streamed."""
    assert lab.node
    lab.pool.clear()
    plain, _ = submit(version, tmp_path / "plain", lab.lake)
    assert len(plain) == 5
    settings = plugged(version, lab.wire.url)
    del settings["spark.jars"]
    flags = [f"--conf={name}={value}" for name, value in settings.items()]
    flags += ["--jars", str(bundle(version))]
    before = lab.node.stats()["flight"]
    for attempt in range(3):
        lines, log = submit(version, tmp_path / f"cached{attempt}", lab.lake, *flags)
        assert lines == plain
        after = lab.node.stats()["flight"]
        if UNANSWERED not in log:
            break
    assert after["streams"] > before["streams"]
    assert after["bytes"] > before["bytes"]
    assert "read without the cache" not in log


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_a_wrong_setting_stops_no_job(lab: Lab, version: str, tmp_path: Path) -> None:
    """Nor does a node that nobody knows, or a URL that is none."""
    plain, _ = submit(version, tmp_path / "plain", lab.lake)
    for index, url in enumerate(("grpc://127.0.0.1:1", "nonsense")):
        settings = plugged(version, url)
        flags = [f"--conf={name}={value}" for name, value in settings.items()]
        lines, log = submit(version, tmp_path / f"wrong{index}", lab.lake, *flags)
        assert lines == plain
        assert log.count("read without the cache") <= 2

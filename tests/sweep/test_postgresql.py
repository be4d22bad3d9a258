"""Two commands at the same time, as on two machines, share a study in a real PostgreSQL server."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from pluglab.records import read_records
from tests.sweep.conftest import GRID, HILL, RECIPE, only_sweep, summary
from tests.sweep.hill_plugin import height

USER = "postgres"


def binaries() -> Path | None:
    """The folder of the server's programs: on the path, or where Debian has them."""
    found = shutil.which("initdb")
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return Path(found).resolve().parent if found else places[-1].parent if places else None


@pytest.fixture
def server() -> Iterator[str]:
    """The URL of a database of a server that runs as long as the test, and listens to no network."""
    programs, root = binaries(), os.geteuid() == 0
    if programs is None or (root and USER not in (entry.pw_name for entry in pwd.getpwall())):
        pytest.skip("there is no PostgreSQL server here: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # sockets need short paths
    as_user = ["runuser", "-u", USER, "--"] if root else []  # which refuses to be root
    if root:
        shutil.chown(folder, USER)

    def call(name: str, *words: str | Path) -> None:
        command = [*as_user, str(programs / name), *map(str, words)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=120)

    try:
        call("initdb", "-D", folder / "data", "-U", USER, "-A", "trust", "--no-sync")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        call("pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w", "-o", options, "start")
        yield f"postgresql+psycopg://{USER}@/postgres?host={folder}"
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            call("pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
        shutil.rmtree(folder)


def test_two_machines_share_a_study(server: str) -> None:
    Path("hill.toml").write_text(RECIPE.replace("[run]", f"{GRID.replace('[sweep]', PRUNER)}\n[run]"))
    words = ["sweep", "hill.toml", "--plugin", str(HILL), "--set", f"sweep.storage={server}"]
    code = [sys.executable, "-c", "from pluglab.cli import main; main()"]
    both = [
        subprocess.Popen([*code, *words, "--run-dir", name], stderr=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    said = [process.communicate(timeout=240)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    folders = [only_sweep(Path(name)) for name in "ab"]
    found = [summary(folder) for folder in folders]
    # Where both draw at the same moment, one combination may come twice, and the last not at all.
    trials = max(
        (one["trials"] for one in found), key=lambda own: sum(one["state"] != "running" for one in own)
    )
    assert 8 <= len(trials) <= 9
    heights = {(x, kind): height(x, kind) for x, kind in product((1.0, 2.0, 3.0, 4.0), ("low", "high"))}
    for one in trials:
        assert one["values"] in ([pytest.approx(heights[tuple(one["params"].values())])], None)
    # Each trial is a run in the folder of one of the two.
    runs = [read_records([folder], print) for folder in folders]
    assert sorted(record.variant for own in runs for record in own) == sorted(
        f"trial {one['number']}" for one in trials
    )
    assert "sweep.db" not in {path.name for folder in folders for path in folder.iterdir()}


PRUNER = '[sweep]\npruner = { name = "threshold", lower = -1.5 }'


def test_a_server_that_is_not_there_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    Path("hill.toml").write_text(RECIPE.replace("[run]", f"{GRID}\n[run]"))
    url = "postgresql+psycopg://nobody@127.0.0.1:9/none?connect_timeout=5"
    code = [sys.executable, "-c", "from pluglab.cli import main; main()"]
    words = ["sweep", "hill.toml", "--plugin", str(HILL), "--set", f"sweep.storage={url}"]
    done = subprocess.run([*code, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "cannot be reached" in done.stderr and "Traceback" not in done.stderr
    assert not Path("runs").exists()

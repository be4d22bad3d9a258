"""Files and folders that are written all or not at all have the permissions that others have."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pluglab.storage.atomic import replacing, replacing_folder, write_file


@pytest.fixture(params=[0o022, 0o027, 0o000])
def mask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_what_is_written_has_the_permissions_of_the_users_mask(mask: int) -> None:
    write_file(Path("a.txt"), b"a")
    with replacing(Path("b.txt")) as temporary:
        temporary.write_text("b")
    with replacing_folder(Path("folder")) as folder:
        (folder / "c.txt").write_text("c")
    modes = {path: Path(path).stat().st_mode & 0o777 for path in ("a.txt", "b.txt", "folder")}
    assert modes == {"a.txt": 0o666 & ~mask, "b.txt": 0o666 & ~mask, "folder": 0o777 & ~mask}


def test_the_mask_of_other_threads_is_never_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one for the whole process: a file that a thread made meanwhile would be open to all."""

    def refuse(mask: int) -> int:
        raise AssertionError(f"umask({mask})")

    monkeypatch.setattr(os, "umask", refuse)
    write_file(Path("a.txt"), b"a")
    with replacing_folder(Path("folder")):
        pass


def test_threads_that_write_one_file_leave_one_of_them() -> None:
    contents = [bytes([number]) * 10_000 for number in range(8)]
    threads = [threading.Thread(target=write_file, args=(Path("a.bin"), one)) for one in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Path("a.bin").read_bytes() in contents
    assert [path.name for path in Path().iterdir()] == ["a.bin"]

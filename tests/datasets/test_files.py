"""Where the official files are looked for, and what is said when they cannot be had."""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pluglab.errors import UserError
from pluglab.protocols import DataContext
from pluglab_datasets import mnist, svhn, usps
from pluglab_datasets.files import OfficialFile, find, locate

from . import official

NOWHERE = "http://127.0.0.1:9/"  # the discard port: nothing answers there
FILE = OfficialFile("SET/file.bin", (NOWHERE + "file.bin",), None, others=(("file.bin", None),))


def put(folder: Path | None, name: str, content: bytes = b"") -> Path:
    assert folder
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def found(context: DataContext) -> Path | None:
    result = find(FILE, context)
    return result.path if result else None


def test_the_data_root_comes_before_the_cache_and_both_before_a_download(context: DataContext) -> None:
    assert found(context) is None
    cached = put(context.cache, "SET/file.bin")
    assert found(context) == cached
    other = put(context.root, "file.bin")
    assert found(context) == other
    proper = put(context.root, "SET/file.bin")
    assert found(context) == proper
    assert [file.path for file in locate("set", [FILE], context, fetch=True)] == [proper]
    assert found(dataclasses.replace(context, root=None)) == cached


@pytest.mark.parametrize("fetch", [True, False])
def test_files_that_cannot_be_had_are_named_with_their_place_and_another_recipe(
    context: DataContext, fetch: bool
) -> None:
    second = dataclasses.replace(FILE, path="SET/second.bin")
    with pytest.raises(UserError) as caught:
        locate("set", [FILE, second], context, fetch=fetch)
    text = caught.value.render()
    for file in (FILE, second):
        assert f"{NOWHERE}file.bin -> {context.root}/{file.path}" in text
    assert "--data-root" in text
    assert "LAB_DATA_ROOT" in text
    assert "lab run recipes/dann_digits.toml" in text
    assert (f"tried {NOWHERE}file.bin: " in text) == fetch
    assert not (context.cache / "SET" / "file.bin").exists()


def test_without_a_data_root_the_error_says_that_none_is_set(context: DataContext) -> None:
    with pytest.raises(UserError) as caught:
        locate("set", [FILE], dataclasses.replace(context, root=None), fetch=False)
    assert "none is set" in caught.value.render()
    assert "DATA_ROOT/SET/file.bin" in caught.value.render()


def test_a_cache_that_cannot_be_written_to_is_an_error(context: DataContext) -> None:
    put(context.cache.parent, context.cache.name)  # a file where the folder should be
    with pytest.raises(UserError, match=r"cannot write .*file\.bin"):
        locate("set", [FILE], context, fetch=True)


def test_a_full_disk_is_an_error_that_says_so(context: DataContext, tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    origin = put(tmp_path, "origin.bin", bytes(1000))
    file = dataclasses.replace(FILE, urls=(origin.as_uri(),))
    (context.cache / "SET").mkdir(parents=True)
    (context.cache / "SET" / "file.bin.part").symlink_to(full)
    with pytest.raises(UserError, match="No space left on device") as caught:
        locate("set", [file], context, fetch=True)
    assert "free some space" in caught.value.render()


@pytest.mark.parametrize(("name", "module"), [("mnist", mnist), ("usps", usps), ("svhn", svhn)])
def test_a_data_set_is_downloaded_into_the_cache(
    build: Callable[..., Any],
    context: DataContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    module: Any,
) -> None:
    """From a first mirror that is dead and a second that holds the made-up files."""
    mirror = tmp_path / "mirror"
    official.write_all(mirror)
    files = []
    for file in module.FILES:
        path = next(mirror / name for name in file.accepted if (mirror / name).exists())
        md5 = hashlib.md5(path.read_bytes()).hexdigest()
        target = path.relative_to(mirror).as_posix()
        files.append(OfficialFile(target, (NOWHERE + target, path.as_uri()), md5))
    monkeypatch.setattr(module, "FILES", files)
    dataset = build("dataset", name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.prepare(context)
    assert len(dataset.split("train")) == official.COUNTS["train"]
    assert all((context.cache / file.path).exists() for file in files)
    assert context.root
    assert not context.root.exists()


@pytest.mark.parametrize("module", [mnist, usps, svhn])
def test_the_checksums_are_those_of_torchvision(module: Any) -> None:
    import torchvision.datasets as torchvision

    reference = {
        **dict(torchvision.MNIST.resources),
        **{name: md5 for _, name, md5 in torchvision.USPS.split_list.values()},
        **{name: md5 for _, name, md5 in torchvision.SVHN.split_list.values()},
    }
    assert {Path(f.path).name: f.md5 for f in module.FILES}.items() <= reference.items()

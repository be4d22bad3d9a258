"""`image_folder` on trees that hypothesis grows: every picture is one row, with its pixels and its class."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pluglab.errors import UserError
from pluglab.protocols import DataContext
from pluglab_datasets.image_folder import ImageFolder
from tests.datasets.conftest import Bar

FOLDER = st.sampled_from(["cat", "dog", "train", "test", "a b", "é", "x.png", ".hidden"])
NAME = st.sampled_from(["1", "2", "3", "a b", "é", ".seen", "x'\"", "%s", "[red]"])
SUFFIX = st.sampled_from([".png", ".PNG", ".bmp", ".txt"])
FILE = st.tuples(st.lists(FOLDER, max_size=2), NAME, SUFFIX)
KIND = st.one_of(st.integers(0, 255), st.sampled_from(["empty", "text", "cut", "link"]))
TREES = st.dictionaries(FILE, KIND, max_size=10)
SIZE = 4


def grow(root: Path, tree: Mapping[tuple[list[str], str, str], int | str]) -> dict[str, int]:
    """Write a tree. Returns the gray level of every picture that can be read, by its name."""
    found = {}
    for (folders, name, suffix), kind in tree.items():
        path = root.joinpath(*folders) / f"{name}{suffix}"
        if any(part.is_file() for part in path.relative_to(root).parents if (root / part).is_file()):
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                continue
            put(path, kind)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
        relative = path.relative_to(root)
        if isinstance(kind, int) and suffix != ".txt" and not any(p.startswith(".") for p in relative.parts):
            found[relative.as_posix()] = kind
    return found


def put(path: Path, kind: int | str) -> None:
    if kind == "link":
        path.symlink_to("nowhere")
        return
    Image.new("L", (SIZE, SIZE), kind if isinstance(kind, int) else 0).save(path, format="PNG")
    content = path.read_bytes()
    damaged = {"empty": b"", "text": b"no picture", "cut": content[: len(content) // 2]}
    if isinstance(kind, str):
        path.write_bytes(damaged[kind])


def prepared(root: Path, cache: Path, **options: Any) -> ImageFolder:
    config = ImageFolder.Config(path=str(root), size=SIZE, channels=1, **options)
    dataset = ImageFolder(config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.prepare(DataContext(root=None, cache=cache, track=Bar))
    return dataset


@given(tree=st.lists(st.tuples(FILE, KIND), max_size=10), share=st.sampled_from([0, 0.3]))
def test_every_picture_is_a_row_and_nothing_else_is(
    tmp_path: Path, tree: list[tuple[Any, int | str]], share: float
) -> None:
    root, cache = tmp_path / "root", tmp_path / "cache"
    for folder in (root, cache):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    levels: dict[str, int] = {}
    for file, kind in tree:
        levels |= grow(root, {(tuple(file[0]), *file[1:]): kind})  # type: ignore[dict-item]
    try:
        dataset = prepared(root, cache, test_share=share)
    except UserError as error:
        assert str(error)
        return
    rows = [level for images in dataset.splits.values() for level in images.pixels[:, 0, 0, 0].tolist()]
    told = " ".join(c for i in dataset.splits.values() for c in i.provenance["caveats"])
    outside = "outside" in told  # beside folders called train and test
    assert sorted(rows) == sorted(levels.values()) or (outside and set(rows) <= set(levels.values()))
    for images in dataset.splits.values():
        assert (images.pixels == images.pixels[:, :, :1, :1]).all()
        if images.labels is not None:
            assert images.classes is not None and int(images.labels.max()) < len(images.classes)
    again = prepared(root, cache, test_share=share)
    for split, images in dataset.splits.items():
        assert np.array_equal(images.pixels, again.splits[split].pixels)

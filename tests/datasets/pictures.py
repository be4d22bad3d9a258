"""Made-up folders and archives of images, for the tests of `image_folder`."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

Prepare = Callable[..., Any]
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def save(path: Path, color: Any = RED, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)
    return path


def many(folder: Path, count: int = 20) -> None:
    """Images whose gray level is their number, so that a row can be told."""
    for i in range(count):
        save(folder / f"{i:03}.png", (i, i, i))


def levels(dataset: Any, split: str = "train") -> list[int]:
    return dataset.split(split).pixels[:, 0, 0, 0].tolist()


def pack_tar(folder: Path, path: Path, mode: str) -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        archive.add(folder, arcname="some/where")


def pack_zip(folder: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, f"where/{file.relative_to(folder)}")
            archive.writestr(f"__MACOSX/where/._{file.name}", b"what a Mac adds")

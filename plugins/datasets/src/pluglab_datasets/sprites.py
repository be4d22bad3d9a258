"""Makes sprites64.tar, which recipes name: `python -m pluglab_datasets.sprites DATA_ROOT`.

Pixel-art characters of 64 x 64, from a public repository whose license is MIT. The pictures are taken as
they are, in the order of their numbers, with the license beside them.
"""

from __future__ import annotations

import io
import re
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from pluglab import data_context
from pluglab.errors import LabError, UserError
from pluglab.storage.atomic import replacing
from pluglab_datasets.download import DownloadError, Transfer, download
from pluglab_datasets.image_sources import Tar

COMMIT = "289bd655566098d6fb5ea1cace54bba3a7868a0e"
URLS = (f"https://codeload.github.com/bragajj/DCGAN-Anime-Faces/tar.gz/{COMMIT}",)
COUNT, SIDE = 10_000, 64
LICENSE = "LICENSE"


def make(target: Path, urls: Sequence[str], count: int = COUNT) -> None:
    """Fetch the repository and pack its first `count` sprites. Raises `UserError` where that cannot be."""
    if target.exists():
        raise UserError(f"{target} is there already", help=["remove it first to make it anew"])
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "repository.tar.gz"
        try:
            download(urls, Transfer(archive, None, data_context().track))
        except DownloadError as error:
            help = ["pack them by hand: docs/datasets.md says how"]
            raise UserError(f"the sprites cannot be fetched: {error}", help=help) from error
        pack(archive, target, count)


def pack(archive: Path, target: Path, count: int = COUNT) -> None:
    """`target`, a tar of sprites64/00000.png and so on, from a tar of the repository."""
    source = Tar(archive)
    number_of = {name: int(m[1]) for name in source.files() if (m := re.search(r"/train/(\d+)\.png$", name))}
    licenses = [name for name in source.files() if re.fullmatch(rf"[^/]+/{LICENSE}", name)]
    files = dict(source.contents([*number_of, *licenses]))
    sprites = [files[name] for name in sorted(number_of, key=number_of.__getitem__) if _fits(files[name])]
    if len(sprites) < count or not licenses:
        message = (
            f"{archive} has {len(sprites):,} sprites of {SIDE} x {SIDE} in train/, and should have {count:,}"
        )
        raise UserError(message, help=["is it the repository that docs/datasets.md names?"])
    with replacing(target) as unfinished, tarfile.open(unfinished, "w") as packed:
        named = [(f"{i:05}.png", data) for i, data in enumerate(sprites[:count])]
        for name, data in [*named, (LICENSE, files[licenses[0]])]:
            info = tarfile.TarInfo(f"sprites64/{name}")
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))


def _fits(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size == (SIDE, SIDE)
    except OSError:
        return False


def main(words: Sequence[str]) -> int:
    """Exit code 0, or 2 where the words or what was fetched are wrong."""
    if len(words) != 1:
        print("usage: python -m pluglab_datasets.sprites DATA_ROOT", file=sys.stderr)
        return 2
    target = Path(words[0]) / "sprites64.tar"
    try:
        print(f"fetching {URLS[0]}", file=sys.stderr)
        make(target, URLS, COUNT)
    except LabError as error:
        print(error.render(), file=sys.stderr)
        return error.exit_code
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

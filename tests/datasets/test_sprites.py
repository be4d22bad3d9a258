"""sprites64.tar made from its repository, which a local server stands for."""

from __future__ import annotations

import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from pluglab.errors import UserError
from pluglab_datasets import sprites

from . import official
from .pictures import Prepare

NUMBERS = [0, 2, 10, 9, 11]  # 10 comes after 9, and 1 is missing


def sprite(level: int, side: int = 64) -> bytes:
    return official.encoded(np.full((side, side, 4), (level, 0, 0, 255), np.uint8), "PNG")


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Where the repository's archive is served."""
    (tmp_path / "www").mkdir()
    with tarfile.open(tmp_path / "www" / "repository.tar.gz", "w:gz") as archive:
        for number in NUMBERS:
            official.add(archive, f"Repository-1/train/{number}.png", sprite(number))
        official.add(archive, "Repository-1/train/3.png", sprite(3, side=80))
        official.add(archive, "Repository-1/train/4.png", b"no picture")
        official.add(archive, "Repository-1/other/5.png", sprite(5))
        official.add(archive, "Repository-1/LICENSE", b"MIT License")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "www")))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/repository.tar.gz"
    server.shutdown()
    server.server_close()


def test_the_first_sprites_are_packed_in_the_order_of_their_numbers(
    url: str, tmp_path: Path, prepare: Prepare
) -> None:
    target = tmp_path / "sprites64.tar"
    sprites.make(target, [url], count=4)
    with tarfile.open(target) as packed:
        names = packed.getnames()
        license = packed.extractfile("sprites64/LICENSE")
        assert license
        assert license.read() == b"MIT License"
    assert names == [*(f"sprites64/{i:05}.png" for i in range(4)), "sprites64/LICENSE"]
    train = prepare(path=str(target), size=64, test_share=0).split("train")
    assert train.pixels[:, 0, 0, 0].tolist() == [0, 2, 9, 10]
    before = target.read_bytes()
    target.unlink()
    sprites.make(target, [url], count=4)
    assert target.read_bytes() == before
    with pytest.raises(UserError, match=r"sprites64\.tar is there already"):
        sprites.make(target, [url], count=4)


def test_a_repository_with_too_few_sprites_or_none_is_refused(url: str, tmp_path: Path) -> None:
    target = tmp_path / "sprites64.tar"
    with pytest.raises(UserError, match="has 5 sprites of 64 x 64 in train/, and should have 10,000"):
        sprites.make(target, [url])
    with pytest.raises(UserError, match=r"cannot be fetched: .*File not found") as caught:
        sprites.make(target, [f"{url}.gone"])
    assert "docs/datasets.md" in caught.value.render()
    assert not target.exists()


def test_the_command(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sprites, "URLS", (url,))
    assert sprites.main([]) == 2
    assert "usage: python -m pluglab_datasets.sprites DATA_ROOT" in capsys.readouterr().err
    assert sprites.main([str(tmp_path)]) == 2
    assert "error: " in capsys.readouterr().err
    monkeypatch.setattr(sprites, "COUNT", 4)
    assert sprites.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'sprites64.tar'}\n"
    assert tarfile.is_tarfile(tmp_path / "sprites64.tar")

"""Downloads from a local server that misbehaves in every way a mirror does."""

from __future__ import annotations

import gzip
import hashlib
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pluglab.protocols import ProgressBar
from pluglab_datasets.download import DownloadError, Transfer, download

CONTENT = bytes(range(256)) * 4096  # 1 MiB
MD5 = hashlib.md5(CONTENT).hexdigest()


class Mirror:
    """A server whose next replies can be cut short or delayed; `ranges` lists what was asked for."""

    def __init__(self) -> None:
        self.ranges: list[str | None] = []
        self.cuts: list[int] = []
        self.honours_ranges = True
        self.says: dict[str, str] = {}
        self.says_once: dict[str, str] = {}
        self.redirects_to = ""
        self.delay = 0.0
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, self))
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path: str = "good") -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    def __init__(self, mirror: Mirror, *args: object) -> None:
        self.mirror = mirror
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        mirror, wanted = self.mirror, self.headers.get("Range")
        mirror.ranges.append(wanted)
        time.sleep(mirror.delay)
        if mirror.redirects_to:
            self.send_response(302)
            self.send_header("Location", mirror.redirects_to)
            self.end_headers()
            return
        if self.path == "/missing":
            self.send_error(404)
            return
        content = CONTENT if self.path == "/good" else b"x" * len(CONTENT)
        start = (
            int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and mirror.honours_ranges else 0
        )
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        for name, value in {**mirror.says, **mirror.says_once}.items():
            self.replace_header(name, value)
        mirror.says_once = {}
        self.end_headers()
        end = mirror.cuts.pop(0) if mirror.cuts else len(content)
        self.wfile.write(content[start:end])

    def replace_header(self, name: str, value: str) -> None:
        """Say this in place of what is true."""
        said: list[bytes] = vars(self)["_headers_buffer"]
        said[:] = [line for line in said if not line.startswith(name.encode())]
        self.send_header(name, value)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    mirror = Mirror()
    yield mirror
    mirror.server.shutdown()
    mirror.server.server_close()


class Bars(list[ProgressBar]):
    """Makes progress bars and remembers them."""

    def __call__(self, title: str, total: int) -> ProgressBar:
        self.append(Counting(title, total))
        return self[-1]


class Counting:
    def __init__(self, title: str, total: int) -> None:
        self.title, self.total, self.done = title, total, 0

    def __enter__(self) -> Counting:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def advance(self, amount: int = 1) -> None:
        self.done += amount


@pytest.fixture
def bars() -> Bars:
    return Bars()


@pytest.fixture
def transfer(tmp_path: Path, bars: Bars) -> Transfer:
    return Transfer(tmp_path / "deep" / "file.bin", MD5, bars, timeout=5)


def assert_whole(transfer: Transfer) -> None:
    assert transfer.target.read_bytes() == CONTENT
    assert not transfer.part.exists()


def test_a_file_arrives_with_its_progress(mirror: Mirror, transfer: Transfer, bars: Bars) -> None:
    assert download([mirror.url()], transfer) == transfer.target
    assert_whole(transfer)
    assert [(bar.title, bar.total, bar.done) for bar in bars] == [  # type: ignore[attr-defined]
        ("downloading file.bin", len(CONTENT), len(CONTENT))
    ]


def test_a_file_that_is_there_is_not_asked_for(mirror: Mirror, transfer: Transfer) -> None:
    transfer.target.parent.mkdir()
    transfer.target.write_bytes(b"mine")
    download([mirror.url()], transfer)
    assert transfer.target.read_bytes() == b"mine"
    assert mirror.ranges == []


def test_a_cut_connection_is_resumed_where_it_was_cut(mirror: Mirror, transfer: Transfer, bars: Bars) -> None:
    mirror.cuts = [300_000, 700_000]
    download([mirror.url()], transfer)
    assert_whole(transfer)
    assert mirror.ranges == [None, "bytes=300000-", "bytes=700000-"]
    assert bars[-1].done == bars[-1].total == len(CONTENT)  # type: ignore[attr-defined]


def test_what_an_earlier_process_left_is_resumed(mirror: Mirror, transfer: Transfer) -> None:
    mirror.cuts = [100_000] * 3
    with pytest.raises(DownloadError, match="cut after 100,000 of 1,048,576 bytes"):
        download([mirror.url()], transfer)
    assert not transfer.target.exists()
    assert transfer.part.stat().st_size == 100_000
    download([mirror.url()], transfer)
    assert_whole(transfer)
    assert mirror.ranges[-1] == "bytes=100000-"


def test_a_mirror_without_ranges_starts_again(mirror: Mirror, transfer: Transfer) -> None:
    mirror.honours_ranges, mirror.cuts = False, [300_000]
    download([mirror.url()], transfer)
    assert_whole(transfer)


def test_another_mirror_goes_on_where_the_first_was_cut(mirror: Mirror, transfer: Transfer) -> None:
    mirror.cuts = [200_000, 400_000, 600_000]
    download([mirror.url(), mirror.url("good")], transfer)
    assert_whole(transfer)
    assert mirror.ranges[-1] == "bytes=600000-"


@pytest.mark.parametrize("left", [b"y" * 1000, CONTENT + b"more"])
def test_a_wrong_beginning_is_thrown_away(mirror: Mirror, transfer: Transfer, left: bytes) -> None:
    """Bytes of another file, or more than the file has (which the server answers with 416)."""
    transfer.part.parent.mkdir()
    transfer.part.write_bytes(left)
    download([mirror.url()], transfer)
    assert_whole(transfer)
    assert mirror.ranges[-1] is None


def test_a_wrong_checksum_is_the_next_mirrors_turn(mirror: Mirror, transfer: Transfer) -> None:
    download([mirror.url("other"), mirror.url()], transfer)
    assert_whole(transfer)


def test_every_mirror_with_a_wrong_file_leaves_nothing(mirror: Mirror, transfer: Transfer) -> None:
    with pytest.raises(DownloadError, match=f"its MD5 is [0-9a-f]{{32}}, not {MD5}"):
        download([mirror.url("other")], transfer)
    assert mirror.ranges == [None]
    assert not transfer.target.exists()
    assert not transfer.part.exists()


def test_dead_mirrors_are_each_named_with_the_reason(mirror: Mirror, transfer: Transfer) -> None:
    dead = Mirror()
    dead.server.shutdown()
    dead.server.server_close()
    with pytest.raises(DownloadError) as caught:
        download([mirror.url("missing"), dead.url()], transfer)
    first, second = str(caught.value).splitlines()
    assert first == f"{mirror.url('missing')}: Not Found"
    assert second.startswith(dead.url())
    assert "refused" in second


def test_a_silent_mirror_is_given_up(mirror: Mirror, tmp_path: Path, bars: Bars) -> None:
    silent = Mirror()
    silent.delay = 1.0
    transfer = Transfer(tmp_path / "file.bin", MD5, bars, timeout=0.1, attempts=1)
    download([silent.url(), mirror.url()], transfer)
    assert_whole(transfer)
    silent.server.shutdown()
    silent.server.server_close()


def test_without_a_known_checksum_the_length_is_what_counts(
    mirror: Mirror, tmp_path: Path, bars: Bars
) -> None:
    transfer = Transfer(tmp_path / "file.bin", None, bars)
    mirror.cuts = [5]
    download([mirror.url()], transfer)
    assert_whole(transfer)


def test_an_archive_without_a_known_checksum_has_that_of_its_format(
    mirror: Mirror, tmp_path: Path, bars: Bars
) -> None:
    """A page that a hotel's network sends instead is no gzip file, and neither is the half of one."""
    packed = tmp_path / "packed.tgz"
    packed.write_bytes(gzip.compress(CONTENT))
    transfer = Transfer(tmp_path / "file.tgz", None, bars, attempts=1)
    with pytest.raises(DownloadError, match="it is no whole gzip file"):
        download([mirror.url()], transfer)
    assert not transfer.part.exists()
    assert not transfer.target.exists()
    transfer.part.write_bytes(b"junk")
    assert download([packed.as_uri()], transfer).read_bytes() == packed.read_bytes()


def test_two_at_once_fetch_it_once(mirror: Mirror, transfer: Transfer) -> None:
    mirror.delay = 0.1
    threads = [threading.Thread(target=download, args=([mirror.url()], transfer)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_whole(transfer)
    assert mirror.ranges == [None]


# What nobody should take --------------------------------------------------------------------------------


@pytest.fixture
def unknown(tmp_path: Path, bars: Bars) -> Transfer:
    """A transfer of a file whose checksum nobody publishes."""
    return Transfer(tmp_path / "file.bin", None, bars, timeout=5)


def refused(urls: list[str], transfer: Transfer) -> str:
    with pytest.raises(DownloadError) as raised:
        download(urls, transfer)
    assert not transfer.target.exists()
    return str(raised.value)


@pytest.mark.parametrize("url", ["http://example.org/x", "ftp://example.org/x"])
def test_only_tls_is_spoken(unknown: Transfer, url: str) -> None:
    assert "only https is spoken" in refused([url], unknown)


@pytest.mark.parametrize("url", ["http://192.0.2.1/x", "ftp://192.0.2.1/x"])
def test_a_redirection_goes_nowhere_else(mirror: Mirror, unknown: Transfer, url: str) -> None:
    mirror.redirects_to = url
    assert "only https is spoken" in refused([mirror.url()], unknown)


def test_a_page_is_no_file(mirror: Mirror, unknown: Transfer) -> None:
    mirror.says = {"Content-Type": "text/html; charset=utf-8"}
    assert "log in" in refused([mirror.url()], unknown)


def test_a_length_that_is_no_number_is_told(mirror: Mirror, unknown: Transfer) -> None:
    mirror.says = {"Content-Length": "abc"}
    assert "its length is 'abc'" in refused([mirror.url()], unknown)


@pytest.mark.parametrize("said", [True, False])
def test_a_file_without_an_end_is_given_up(mirror: Mirror, tmp_path: Path, bars: Bars, said: bool) -> None:
    mirror.says = {} if said else {"Content-Length": ""}
    transfer = Transfer(tmp_path / "file.bin", None, bars, timeout=5, largest=len(CONTENT) // 2)
    words = "1,048,576 bytes, more than" if said else "it does not end"
    assert words in refused([mirror.url()], transfer)


def test_another_range_than_was_asked_for_starts_again(mirror: Mirror, unknown: Transfer) -> None:
    unknown.part.write_bytes(CONTENT[:1000])
    mirror.says_once = {"Content-Range": "bytes 5-9/10"}
    assert download([mirror.url()], unknown).read_bytes() == CONTENT
    assert mirror.ranges == ["bytes=1000-", None]


def test_a_file_without_a_checksum_stays_what_it_was(mirror: Mirror, unknown: Transfer) -> None:
    assert download([mirror.url()], unknown).read_bytes() == CONTENT
    unknown.target.unlink()
    assert "when first fetched" in refused([mirror.url("another")], unknown)
    assert download([mirror.url()], unknown).read_bytes() == CONTENT
    unknown.target.unlink()
    unknown.note.unlink()  # as the message says
    assert download([mirror.url("another")], unknown).read_bytes() == b"x" * len(CONTENT)

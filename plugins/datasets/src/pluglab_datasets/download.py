"""One file from the first mirror that works: resumed where it was cut, verified, renamed only when whole."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import ssl
import urllib.request
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from filelock import FileLock

from pluglab.protocols import ProgressBar
from pluglab.storage.atomic import put_in_place

CHUNK = 1 << 18
Track = Callable[[str, int], ProgressBar]
# Not all of OSError: a full disk is not a mirror's fault.
NETWORK_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ssl.SSLError,
    ConnectionError,
    TimeoutError,
)


class DownloadError(Exception):
    """No mirror gave the file; the message has one line for each address that was tried."""


class _WrongContentError(Exception):
    """What came is whole, but it is not the file."""


@dataclass(frozen=True)
class Transfer:
    """Where a file goes and how it is fetched. `md5` is None where nobody publishes a checksum.

    `timeout`: seconds without a single byte. `attempts`: connections to one mirror; each goes on where the
    one before was cut.
    """

    target: Path
    md5: str | None
    track: Track
    timeout: float = 20.0
    attempts: int = 3

    @property
    def part(self) -> Path:
        return self.target.with_name(self.target.name + ".part")


def download(urls: Sequence[str], transfer: Transfer) -> Path:
    """The target, once it is there and verified. Raises `DownloadError`; a second process waits its turn."""
    transfer.target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{transfer.target}.lock"):
        if not transfer.target.exists():
            _from_any(urls, transfer)
    return transfer.target


def _from_any(urls: Sequence[str], transfer: Transfer) -> None:
    failures = []
    for url in urls:
        try:
            _from_one(url, transfer)
            put_in_place(transfer.part, transfer.target)
            return
        except (_WrongContentError, *NETWORK_ERRORS) as error:
            failures.append(f"{url}: {_reason(error)}")
    raise DownloadError("\n".join(failures))


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", "") or error or type(error).__name__)


def _from_one(url: str, transfer: Transfer) -> None:
    """Raises the last error once all attempts are used, or at once where trying again would not help."""
    for left in reversed(range(transfer.attempts)):
        resumed = _size(transfer.part) > 0
        try:
            _transfer(url, transfer)
            return _verify(transfer)
        except urllib.error.HTTPError as error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and resumed:
                transfer.part.unlink()
            elif error.code < 500 or not left:
                raise
        except _WrongContentError:
            if not resumed:
                raise
        except NETWORK_ERRORS:
            if not left:
                raise
    raise _WrongContentError("the mirror keeps refusing to resume")


def _transfer(url: str, transfer: Transfer) -> None:
    start = _size(transfer.part)
    headers = {"User-Agent": "pluglab-datasets"} | ({"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(
        urllib.request.Request(url, headers=headers), timeout=transfer.timeout
    ) as reply:
        if reply.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0
        length = int(reply.headers.get("Content-Length") or 0)
        total = start + length if length else 0
        with (
            transfer.part.open("ab" if start else "wb") as file,
            transfer.track(f"downloading {transfer.target.name}", total) as bar,
        ):
            bar.advance(start)
            _copy(reply, file, bar)
    if total and _size(transfer.part) < total:
        raise http.client.HTTPException(f"cut after {_size(transfer.part):,} of {total:,} bytes")


def _copy(reply: http.client.HTTPResponse, file: IO[bytes], bar: ProgressBar) -> None:
    while chunk := reply.read(CHUNK):
        file.write(chunk)
        bar.advance(len(chunk))


def _verify(transfer: Transfer) -> None:
    found = md5_of(transfer.part)
    if transfer.md5 is None:
        wrong = _gzip_fault(transfer.part) if transfer.target.suffix in (".gz", ".tgz") else ""
    else:
        wrong = "" if transfer.md5 == found else f"its MD5 is {found}, not {transfer.md5}"
    if wrong:
        transfer.part.unlink()
        raise _WrongContentError(wrong)


def _gzip_fault(path: Path) -> str:
    """What is wrong with a compressed file, whose format has a checksum of its own; '' if nothing is."""
    try:
        with gzip.open(path) as file:
            while file.read(CHUNK):
                pass
    except (OSError, EOFError, zlib.error) as error:
        return f"it is no whole gzip file: {error}"
    return ""


def md5_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

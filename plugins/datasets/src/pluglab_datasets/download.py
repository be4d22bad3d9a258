"""One file from the first mirror that works: resumed where it was cut, verified, renamed only when whole.

Only TLS is spoken, but to this machine itself. A file whose checksum nobody publishes has the one that it had
when it was first fetched, which is noted beside it.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import ipaddress
import re
import ssl
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from pluglab.protocols import ProgressBar
from pluglab.storage.atomic import put_in_place, write_file

CHUNK = 1 << 18
LARGEST = 8 << 30  # bytes; the largest file that a data set here has is 1.3 GB
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
    one before was cut. `largest`: bytes that a file may have.
    """

    target: Path
    md5: str | None
    track: Track
    timeout: float = 20.0
    attempts: int = 3
    largest: int = LARGEST

    @property
    def part(self) -> Path:
        return self.target.with_name(self.target.name + ".part")

    @property
    def note(self) -> Path:
        """Holds the SHA-256 of a file without a published checksum, as it was first fetched."""
        return self.target.with_name(self.target.name + ".sha256")


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
    if not url.startswith("file:"):  # a copy that somebody has here
        _refuse_open(url)
    request = urllib.request.Request(url, headers=headers)
    with _OPENER.open(request, timeout=transfer.timeout) as reply:
        if reply.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0
        elif not _goes_on(reply, start):
            transfer.part.unlink()
            raise _WrongContentError("it does not go on where it was asked to")
        _refuse_page(reply)
        length = _length(reply)
        total = start + length if length else 0
        if total > transfer.largest:
            raise _WrongContentError(f"it has {total:,} bytes, more than {transfer.largest:,}")
        with (
            transfer.part.open("ab" if start else "wb") as file,
            transfer.track(f"downloading {transfer.target.name}", total) as bar,
        ):
            bar.advance(start)
            _copy(reply, file, bar, transfer.largest - start)
    if total and _size(transfer.part) < total:
        raise http.client.HTTPException(f"cut after {_size(transfer.part):,} of {total:,} bytes")


def _refuse_open(url: str) -> None:
    """Raises for an address that anybody on the way could answer for."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(parts.hostname or "")):
        raise _WrongContentError("only https is spoken")


def _is_here(host: str) -> bool:
    """Whether it is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirection to where we would not have gone by ourselves."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _refuse_open(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_Redirects)


def _goes_on(reply: http.client.HTTPResponse, start: int) -> bool:
    found = re.match(r"bytes (\d+)-", reply.headers.get("Content-Range", ""))
    return found is not None and int(found[1]) == start


def _refuse_page(reply: http.client.HTTPResponse) -> None:
    """Raises for a page, as a network that wants one to log in sends in place of anything."""
    if reply.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        raise _WrongContentError("it is a web page; does the network want you to log in?")


def _length(reply: http.client.HTTPResponse) -> int:
    """What is to come, in bytes; 0 where that is not said."""
    said = reply.headers.get("Content-Length") or "0"
    if not said.isdecimal():
        raise http.client.HTTPException(f"its length is '{said[:20]}', no number")
    return int(said)


def _copy(reply: http.client.HTTPResponse, file: IO[bytes], bar: ProgressBar, most: int) -> None:
    while chunk := reply.read(CHUNK):
        most -= len(chunk)
        if most < 0:
            raise _WrongContentError("it does not end")
        file.write(chunk)
        bar.advance(len(chunk))


def _verify(transfer: Transfer) -> None:
    found = md5_of(transfer.part)
    if transfer.md5 is None:
        zipped = transfer.target.suffix in (".gz", ".tgz")
        wrong = (_gzip_fault(transfer.part) if zipped else "") or _changed(transfer)
    else:
        wrong = "" if transfer.md5 == found else f"its MD5 is {found}, not {transfer.md5}"
    if wrong:
        transfer.part.unlink()
        raise _WrongContentError(wrong)


def _changed(transfer: Transfer) -> str:
    """What is wrong with a file that was fetched before and was another one then; '' if nothing is."""
    with transfer.part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not transfer.note.exists():
        write_file(transfer.note, f"{found}\n".encode())
    before = transfer.note.read_text().strip()
    remedy = f"delete {transfer.note} to take it"
    return "" if found == before else f"its SHA-256 is {found}, and was {before} when first fetched; {remedy}"


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

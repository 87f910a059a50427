"""One published file, fetched by pooch: resumed where it broke off, checked, never half there."""

import errno
import logging
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pooch
import requests

from cells.errors import FetchError
from cells.files import make_folder, sha256, write_text
from cells.sources import Download

Report = Callable[[str], None]
Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all where that is known

CHUNK_BYTES = 1 << 20
TIMEOUT_S = 30
TRIES = 5  # in a row without a single byte; a connection that breaks after some goes on
HEADERS = {"User-Agent": "Mozilla/5.0 (compatible; bcsub)", "Accept-Encoding": "identity"}


def download(
    source: Download,
    folder: Path,
    report: Report = lambda line: None,
    progress: Progress = lambda done, total: None,
) -> Path:
    """The published file in `folder`, downloaded unless it is there unharmed.

    Without a checksum in the table the publisher's list is asked; if that does not say, the first
    download's SHA-256 counts. Either is kept beside the file, and holds from then on.
    Raises FetchError, one line that says how to go on, and OSError for a full disk or a folder
    that cannot be made.
    """
    make_folder(folder)
    path = folder / source.filename
    record = path.with_name(path.name + ".sha256")
    checksum = source.checksum or _recorded(record) or _listed(source)
    pooch.get_logger().setLevel(logging.WARNING)
    if path.exists() and not _matches(path, checksum):
        report(f"{path}: not the file that was published, downloading it anew")
    fetch = _Resuming(path, report, progress)
    try:
        try:
            pooch.retrieve(source.url, checksum, path.name, folder, downloader=fetch)
        except ValueError:
            if not fetch.resumed:
                raise
            report(f"{path.name}: the parts do not fit together, beginning anew")
            pooch.retrieve(source.url, checksum, path.name, folder, downloader=fetch)
    except ValueError:
        raise FetchError(
            f"{path.name}: expected {checksum}, got another checksum ({source.url}). The file was "
            "changed on its way or by its publisher; nothing was kept. Try again later."
        ) from None
    except requests.exceptions.HTTPError as error:
        raise FetchError(_refused(source, path, error)) from None
    except requests.exceptions.RequestException as error:
        raise FetchError(_no_network(source, path, fetch.part, error)) from None
    if source.checksum is None and not record.exists():
        digest = sha256(path)
        write_text(record, f"{digest}  {path.name}\n")
        if checksum is None:
            report(
                f"warning: {path.name}: its publisher's checksum could not be had. {record.name} "
                f"now holds that of this download, {digest}: compare it with a colleague's"
            )
    return path


class _Resuming:
    """A downloader for pooch that goes on with NAME.part, and leaves it when it breaks off."""

    def __init__(self, path: Path, report: Report, progress: Progress) -> None:
        self.part = path.with_name(path.name + ".part")
        self.report, self.progress = report, progress
        self.resumed = False

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        """Fetch `url` into the part, then make it pooch's `output_file`, which pooch checks."""
        idle = 0
        while True:
            before = self._done()
            try:
                self._go_on(url)
                break
            except (
                requests.exceptions.ConnectionError,
                requests.exceptions.ChunkedEncodingError,
                requests.exceptions.Timeout,
            ):
                idle = 0 if self._done() > before else idle + 1
                if idle == TRIES or not self._done():
                    raise
                self.report(f"connection lost after {self._done() / 1e6:.1f} MB, going on")
                time.sleep(idle)
        shutil.move(self.part, output_file)

    def _done(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _go_on(self, url: str) -> None:
        """One request, from where the part ends; a server that knows no ranges begins anew."""
        done = self._done()
        asked = HEADERS | ({"Range": f"bytes={done}-"} if done else {})
        with requests.get(url, headers=asked, stream=True, timeout=TIMEOUT_S) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                if response.headers.get("Content-Range", "") == f"bytes */{done}":
                    return  # the part is whole already
                self.part.unlink()
                return self._go_on(url)
            response.raise_for_status()
            partial = response.status_code == requests.codes.partial_content
            if partial and not _starts_at(response, done):
                self.part.unlink()
                return self._go_on(url)
            done = done if partial else 0
            self.resumed = self.resumed or done > 0
            length = response.headers.get("Content-Length")
            total = done + int(length) if length else None
            if total and total - done > shutil.disk_usage(self.part.parent).free:
                needed = f"No room for {(total - done) / 1e6:,.0f} MB"
                raise OSError(errno.ENOSPC, needed, str(self.part))
            with self.part.open("ab" if done else "wb") as file:
                self.progress(done, total)
                for chunk in response.iter_content(CHUNK_BYTES):
                    file.write(chunk)
                    done += len(chunk)
                    self.progress(done, total)


def _starts_at(response: requests.Response, done: int) -> bool:
    start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return start is not None and int(start[1]) == done


def _listed(source: Download) -> str | None:
    """The checksum in the publisher's list of files, where it answers in the form that is known."""
    if source.listing is None:
        return None
    try:
        answer = requests.get(source.listing, headers=HEADERS, timeout=TIMEOUT_S)
        answer.raise_for_status()
        files = {each["filename"]: each["content_details"] for each in answer.json()}
        digest = str(files[source.filename]["sha256_hash"])
    except (requests.exceptions.RequestException, ValueError, KeyError, TypeError):
        return None
    return f"sha256:{digest}" if re.fullmatch("[0-9a-f]{64}", digest) else None


def _recorded(record: Path) -> str | None:
    """The checksum of the first download of a file whose publisher names none."""
    if not record.is_file():
        return None
    words = record.read_text().split()
    return f"sha256:{words[0]}" if words else None


def _matches(path: Path, checksum: str | None) -> bool:
    if checksum is None:
        return True
    algorithm, digest = checksum.split(":")
    return pooch.file_hash(str(path), alg=algorithm) == digest


def _refused(source: Download, path: Path, error: requests.exceptions.HTTPError) -> str:
    status = 0 if error.response is None else error.response.status_code
    if status >= 500 or status == requests.codes.too_many_requests:
        return f"{source.url}: the server is busy (HTTP {status}). The same command goes on later."
    moved = status in (requests.codes.not_found, requests.codes.gone)
    what = "is not there any more" if moved else "was refused"
    return (
        f"{source.url}: {what} (HTTP {status}). Look for {path.name} on its publisher's page, "
        f"put it to {path}, and run the command again."
    )


def _no_network(source: Download, path: Path, part: Path, error: Exception) -> str:
    if part.exists():
        return (
            f"{path.name}: connection lost after {part.stat().st_size / 1e6:.1f} MB "
            f"({source.url}). The same command goes on from there."
        )
    kind = "no answer in time" if isinstance(error, requests.exceptions.Timeout) else "no network"
    return (
        f"{path.name}: {kind}, cannot reach {source.url}. Download it elsewhere, put it to {path}, "
        "and run the command again."
    )

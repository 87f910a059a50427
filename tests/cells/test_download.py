import errno
import hashlib
import json
import shutil

import numpy as np
import pytest

from cells.download import CHUNK_BYTES, download
from cells.errors import FetchError
from cells.sources import Download

CONTENT = np.random.default_rng(0).bytes(3 * CHUNK_BYTES + 12_345)
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def source(publisher):
    publisher.files["/cells.npz"] = CONTENT
    return Download("cells.npz", f"{publisher.url}/cells.npz", MD5)


def fault(source, folder):
    with pytest.raises(FetchError) as caught:
        download(source, folder)
    text = str(caught.value)
    assert "\n" not in text
    return text


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_downloads_once_and_tells_how_far_it_is(publisher, source, tmp_path):
    steps = []
    path = download(source, tmp_path / "data", progress=lambda *step: steps.append(step))
    assert path == tmp_path / "data" / "cells.npz"
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["cells.npz"]
    assert steps[0] == (0, len(CONTENT))
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    download(source, tmp_path / "data")
    assert publisher.asked == [("/cells.npz", None)]


def test_a_broken_connection_goes_on_by_itself(publisher, source, tmp_path):
    publisher.cut_after, publisher.cuts = CHUNK_BYTES, 2
    lines = []
    assert download(source, tmp_path, lines.append).read_bytes() == CONTENT
    assert publisher.asked == [
        ("/cells.npz", None),
        ("/cells.npz", f"bytes={CHUNK_BYTES}-"),
        ("/cells.npz", f"bytes={2 * CHUNK_BYTES}-"),
    ]
    assert lines == [
        "connection lost after 1.0 MB, going on",
        "connection lost after 2.1 MB, going on",
    ]


def test_the_next_run_goes_on_where_the_last_one_was_killed(publisher, source, tmp_path):
    (tmp_path / "cells.npz.part").write_bytes(CONTENT[:100_000])
    steps = []
    download(source, tmp_path, progress=lambda *step: steps.append(step))
    assert publisher.asked == [("/cells.npz", "bytes=100000-")]
    assert steps[0] == (100_000, len(CONTENT))
    assert (tmp_path / "cells.npz").read_bytes() == CONTENT
    assert names(tmp_path) == ["cells.npz"]


def test_a_server_without_ranges_begins_anew(publisher, source, tmp_path):
    publisher.ranges = False
    (tmp_path / "cells.npz.part").write_bytes(b"x" * 100_000)
    assert download(source, tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_taken(publisher, source, tmp_path):
    (tmp_path / "cells.npz.part").write_bytes(CONTENT)
    assert download(source, tmp_path).read_bytes() == CONTENT
    assert len(publisher.asked) == 1


def test_a_part_longer_than_the_file_begins_anew(publisher, source, tmp_path):
    (tmp_path / "cells.npz.part").write_bytes(CONTENT + b"more")
    assert download(source, tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in publisher.asked] == [f"bytes={len(CONTENT) + 4}-", None]


def test_a_part_of_another_file_begins_anew(publisher, source, tmp_path):
    (tmp_path / "cells.npz.part").write_bytes(b"x" * 100_000)
    lines = []
    assert download(source, tmp_path, lines.append).read_bytes() == CONTENT
    assert lines == ["cells.npz: the parts do not fit together, beginning anew"]
    assert [wanted for _, wanted in publisher.asked] == ["bytes=100000-", None]


def test_a_lost_connection_keeps_the_part(publisher, source, tmp_path, monkeypatch):
    monkeypatch.setattr("cells.download.TRIES", 1)
    monkeypatch.setattr("cells.download.time.sleep", lambda seconds: None)
    publisher.cut_after, publisher.cuts = 0, 9
    (tmp_path / "cells.npz.part").write_bytes(CONTENT[:1_500_000])
    assert fault(source, tmp_path) == (
        f"cells.npz: connection lost after 1.5 MB ({source.url}). "
        "The same command goes on from there."
    )
    assert names(tmp_path) == ["cells.npz.part"]
    publisher.cuts = 0
    assert download(source, tmp_path).read_bytes() == CONTENT


def test_no_network(tmp_path):
    source = Download("cells.npz", "http://127.0.0.1:9/cells.npz", MD5)
    assert fault(source, tmp_path / "data") == (
        "cells.npz: no network, cannot reach http://127.0.0.1:9/cells.npz. Download it elsewhere, "
        f"put it to {tmp_path / 'data' / 'cells.npz'}, and run the command again."
    )
    assert names(tmp_path / "data") == []


def test_a_file_put_there_by_hand_needs_no_network(tmp_path):
    (tmp_path / "cells.npz").write_bytes(CONTENT)
    source = Download("cells.npz", "http://127.0.0.1:9/cells.npz", MD5)
    assert download(source, tmp_path) == tmp_path / "cells.npz"


def test_not_there(publisher, source, tmp_path):
    publisher.files.clear()
    assert fault(source, tmp_path) == (
        f"{source.url}: is not there any more (HTTP 404). Look for cells.npz on its publisher's "
        f"page, put it to {tmp_path / 'cells.npz'}, and run the command again."
    )
    assert names(tmp_path) == []


def test_refused_and_busy(publisher, source, tmp_path):
    publisher.status = 403
    assert fault(source, tmp_path).startswith(f"{source.url}: was refused (HTTP 403). Look for")
    publisher.status = 503
    assert fault(source, tmp_path) == (
        f"{source.url}: the server is busy (HTTP 503). The same command goes on later."
    )


def test_a_wrong_checksum_keeps_nothing(publisher, source, tmp_path):
    publisher.files["/cells.npz"] = CONTENT[:-1] + b"x"
    assert fault(source, tmp_path) == (
        f"cells.npz: expected {MD5}, got another checksum ({source.url}). The file was changed on "
        "its way or by its publisher; nothing was kept. Try again later."
    )
    assert names(tmp_path) == []


def test_a_changed_file_is_downloaded_anew(publisher, source, tmp_path):
    (tmp_path / "cells.npz").write_bytes(b"something else")
    lines = []
    assert download(source, tmp_path, lines.append).read_bytes() == CONTENT
    assert lines == [
        f"{tmp_path / 'cells.npz'}: not the file that was published, downloading it anew"
    ]


def test_no_room_is_known_before_a_byte_is_written(source, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr("cells.download.shutil.disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="No room for 3 MB") as caught:
        download(source, tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert names(tmp_path) == []


def test_a_disk_that_fills_up_keeps_the_part(publisher, source, tmp_path):
    def full(done, total):
        if done >= CHUNK_BYTES:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        download(source, tmp_path, progress=full)
    assert names(tmp_path) == ["cells.npz.part"]
    assert download(source, tmp_path).read_bytes() == CONTENT
    assert publisher.asked[1] == ("/cells.npz", f"bytes={CHUNK_BYTES}-")


def listed(publisher, digest):
    """A source whose checksum stands in its publisher's list, as Mendeley Data's."""
    publisher.files["/cells.npz"] = CONTENT
    files = [
        {"filename": "readme.txt", "content_details": {"sha256_hash": "0" * 64}},
        {"filename": "cells.npz", "content_details": {"sha256_hash": digest}},
    ]
    publisher.files["/files"] = json.dumps(files).encode()
    return Download("cells.npz", f"{publisher.url}/cells.npz", listing=f"{publisher.url}/files")


def test_the_publishers_list_holds_the_checksum(publisher, tmp_path):
    lines = []
    download(listed(publisher, SHA), tmp_path, lines.append)
    assert lines == []
    assert (tmp_path / "cells.npz.sha256").read_text() == f"{SHA}  cells.npz\n"
    wrong = listed(publisher, "f" * 64)
    assert fault(wrong, tmp_path / "other").startswith(
        f"cells.npz: expected sha256:{'f' * 64}, got"
    )
    assert names(tmp_path / "other") == []


@pytest.mark.parametrize("list_of_files", [None, b"<html>", b'{"files": []}', b"[]"])
def test_without_any_checksum_the_first_download_counts(publisher, tmp_path, list_of_files):
    source = listed(publisher, SHA)
    if list_of_files is None:
        del publisher.files["/files"]
    else:
        publisher.files["/files"] = list_of_files
    lines = []
    download(source, tmp_path, lines.append)
    assert lines == [
        "warning: cells.npz: its publisher's checksum could not be had. cells.npz.sha256 now holds "
        f"that of this download, {SHA}: compare it with a colleague's"
    ]
    (tmp_path / "cells.npz").unlink()
    publisher.files["/cells.npz"] = b"changed since"
    assert fault(source, tmp_path).startswith(f"cells.npz: expected sha256:{SHA}, got another")

"""Bad sources: each way in which one may fail, what the user is told, and that nothing of it is published or left."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile

import pytest
from warehouse_case import CDER

from warehouse.sample_sources.drugs import Drugs, zipped
from warehouse.sources import archives
from warehouse.targets.folder import Folder


@pytest.fixture
def published(anywhere, tmp_path, monkeypatch):
    """A warehouse, in a folder and in a bucket, with something published; where temporary files go is looked at in the end."""
    anywhere.serve(Drugs(products=20))
    assert anywhere.run("fda-cder").exit_code == 0
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = anywhere.digests("fda-cder")
    anywhere.serve(Drugs(products=21))
    yield anywhere
    assert anywhere.digests("fda-cder") == before
    assert [*folder.iterdir()] == []
    assert not [name for name in anywhere.files() if name.startswith(("temp/", "quarantine/"))]


@pytest.mark.parametrize(
    ("faults", "attempts"),
    [(["503"], 2), (["429@0", "500", "502"], 4), (["reset"], 2), (["short"], 2), (["408", "short", "504"], 4)],
)
def test_what_passes_is_tried_again(warehouse, faults, attempts):
    warehouse.serve(Drugs(products=20))
    warehouse.sources.files[CDER].faults = [*faults]
    done = warehouse.run("fda-cder")
    assert done.exit_code == 0, done.text
    assert len(warehouse.sources.requests) == attempts
    assert all(headers["User-Agent"].startswith("etl-suite-warehouse") for _, headers in warehouse.sources.requests)


@pytest.mark.parametrize(
    ("faults", "attempts", "words"),
    [
        (["404"], 1, "answers 404 Not Found: not now"), (["403"], 1, "answers 403 Forbidden"),
        (["503"] * 9, 4, "answers 503"), (["429@0"] * 9, 4, "answers 429"), (["reset"] * 9, 4, "ndctext.zip"),
        (["short"] * 9, 4, "ndctext.zip"), (["html"], 1, "is not a zip; it begins with: '<!DOCTYPE html>"),
    ],
)  # fmt: skip
def test_what_does_not_pass_is_told_in_the_words_of_whoever_refused(published, faults, attempts, words):
    published.sources.requests.clear()
    published.sources.files[CDER].faults = [*faults]
    done = published.run("fda-cder")
    assert (done.exit_code, len(published.sources.requests)) == (1, attempts), done.text
    assert words in done.text
    assert "Traceback" not in done.text


def test_a_source_that_drips_ends_in_time(published, monkeypatch):
    monkeypatch.setenv("WAREHOUSE_DOWNLOAD_SECONDS", "0.5")
    monkeypatch.setenv("WAREHOUSE_ATTEMPTS", "2")
    published.sources.files[CDER].faults = ["drip", "drip"]
    done = published.run("fda-cder")
    assert (done.exit_code, "sends too slowly" in done.text) == (1, True), done.text


def test_a_source_that_is_away_is_one_clear_line(published):
    published.configure("fda-cder", lambda config: config.update(source_url="http://127.0.0.1:1/a.zip?key=secret"))
    done = published.run("fda-cder")
    assert (done.exit_code, "http://127.0.0.1:1/a.zip: " in done.text) == (1, True), done.text
    assert "secret" not in done.text + (published.root.parent / "warehouse.log").read_text()


def member(name, content=b"x\ty\n", flags=0):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("package.txt", "x")
        archive.writestr(name, content)
    raw = bytearray(packed.getvalue())
    if flags:
        for signature, place in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
            start = raw.rfind(signature)
            raw[start + place] |= flags
    return bytes(raw)


def broken_crc():
    content = bytearray(zipped({"product.txt": b"a" * 1000, "package.txt": b"b"}))
    place = content.find(b"PK\x03\x04") + 14
    content[place] ^= 0xFF
    central = content.find(b"PK\x01\x02") + 16
    content[central] ^= 0xFF
    return bytes(content)


HARMFUL = [
        (b"", "is not a zip"), (b"PK\x03\x04rest", "is damaged"), (Drugs(products=20).cder()[:-500], "is damaged"),
        (broken_crc(), "Bad CRC-32"), (member("product.txt", flags=1), "product.txt is encrypted"),
        (member("../../product.txt"), "wants to lie outside"), (member("/etc/product.txt"), "wants to lie outside"),
        (member("a/product.txt").replace(b"package.txt", b"product.TXT"), "two files called"),
        (zipped({"product.txt": b"x"}), "has no package.txt"), (zipped({"other": b"x"}), "has no product.txt, package.txt"),
        (zipped({"product.txt": b"\n\n", "package.txt": b""}), "is empty"),
        (zipped({"product.txt": b"A\tB\n1\t2\n", "package.txt": b"x"}), "'A' is unknown; 'B' is unknown"),
        (zipped({"product.txt": b"x" * 3_000_000, "package.txt": b"x"}), "does not fit fda-cder"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "words"), [pytest.param(*case, id=case[1]) for case in HARMFUL])
def test_an_archive_that_could_do_harm_is_refused_before_a_table_is_touched(published, content, words):
    published.sources.put(CDER, content)
    done = published.run("fda-cder")
    assert done.exit_code == 1, done.text
    assert words in done.text


def test_a_zip_bomb_is_refused_by_the_bytes_that_really_come(published, monkeypatch):
    monkeypatch.setattr(archives, "_RATIO_FROM", 1 << 20)
    published.sources.put(CDER, zipped({"product.txt": b"\0" * (8 << 20), "package.txt": b"x"}))
    done = published.run("fda-cder")
    assert (done.exit_code, "a zip bomb" in done.text) == (1, True), done.text


def test_a_full_disk_says_so_and_leaves_what_was_there(warehouse, monkeypatch):
    def full(_self, _path, key):
        raise OSError(28, os.strerror(28), key)

    warehouse.serve(Drugs(products=20))
    assert warehouse.run("fda-cder").exit_code == 0
    before = warehouse.digests("fda-cder")
    warehouse.serve(Drugs(products=21))
    monkeypatch.setattr(Folder, "upload", full)
    done = warehouse.run("fda-cder")
    assert (done.exit_code, "No space left on device" in done.text) == (1, True), done.text
    assert warehouse.digests("fda-cder") == before


@pytest.mark.parametrize("header", [
    ("Location", "http://[bad"), ("Location", "/\xff"), ("Content-Length", "\xb2"), ("Retry-After", "\xb2"),
    ("Retry-After", "Fri, 31 Dec 99999999 00:00:00 GMT"), ("Last-Modified", "Fri, 31 Dec 99999999 00:00:00 GMT"),
    ("Content-Length", "-1"), ("Content-Encoding", "gzip"), ("Location", "ftp://x/y"), ("Location", ""),
], ids=range(10))  # fmt: skip
def test_headers_that_nobody_can_read_are_told_or_passed_over(warehouse, header):
    warehouse.serve(Drugs(products=20))
    name, value = header
    served = warehouse.sources.files[CDER]
    served.headers = {name: value}
    served.status = {"Location": 302, "Retry-After": 429}.get(name, 200)
    done = warehouse.run("fda-cder")
    assert done.exit_code in (0, 1)
    assert "unexpected" not in done.text

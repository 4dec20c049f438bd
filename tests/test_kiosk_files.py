"""Reading kiosk files as bytes: both ways of finding a row by its number agree, also where blocks meet."""

from __future__ import annotations

import pytest

from museum.batch.kiosk_files import BLOCK_BYTES, inspect_file, iterate_rows, read_rows

HEADER = b"at,site,val,type\n"


def write(path, content: bytes):
    path.write_bytes(content)
    return inspect_file(path)


def fill_to(content: bytes, size: int, end: bytes = b"\n") -> bytes:
    """Return content with short lines added until it has exactly the size."""
    line = b"2023-03-06 10:00:00,1,3," + end
    content += line * -((len(content) + 2 * len(line) - size) // len(line))
    rest = size - len(content)
    return content + b"x" * (rest - len(end)) + end


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("tail", [b"", b"\n", b"\r\n", b"\n\n", b"\r", b"y"])
@pytest.mark.parametrize("size", [BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1])
def test_a_block_s_end_is_no_line_s_end_of_its_own(tmp_path, end, tail, size):
    content = fill_to(HEADER.replace(b"\n", end), size, end) + tail + b"a,1,3," + end + b"b,1,3,"
    file = write(tmp_path / "x.csv", content)
    rows = dict(iterate_rows(file.path))
    assert rows[len(rows)] == b"b,1,3,"
    wanted = [1, 2, 1_000, len(rows) - 1, len(rows)]
    assert list(read_rows(file, wanted)) == [(number, rows[number]) for number in wanted]


@pytest.mark.parametrize(
    ("content", "is_plain"),
    [
        (HEADER + b"a\nb", True),
        (HEADER.replace(b"\n", b"\r\n") + b"a\r\nb\r\n", True),
        (b"\xef\xbb\xbf" + HEADER + b"a\n", True),
        (HEADER + b"a\n\nb", False),
        (HEADER + b"a\r\nb\n", False),
        (HEADER + b"a\rb\n", False),
        (HEADER + b"a\xc3\xa9\n", False),
        (HEADER + b"a\x1e\n", False),
        (fill_to(HEADER, BLOCK_BYTES) + b"a\r\nb\r\n", False),
    ],
)  # fmt: skip
def test_which_files_are_plain(tmp_path, content, is_plain):
    assert write(tmp_path / "x.csv", content).is_plain is is_plain


def test_a_row_that_is_not_there_ends_the_reading(tmp_path):
    for content in (HEADER + b"a\nb\n", HEADER + b"a\n\nb\n"):
        file = write(tmp_path / "x.csv", content)
        assert list(read_rows(file, [2, 3, 4])) == [(2, b"b")]

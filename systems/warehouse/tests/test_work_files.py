"""Work files: whatever a source writes, the engines read the same cells, and each bad record is found again."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etlkit.errors import DataError
from etlkit.testing import full_count
from warehouse import work_files
from warehouse.work_files import (
    CARRIAGE_RETURN,
    DELIMITER,
    LINE_FEED,
    NOTHING,
    NUL,
    Form,
    WorkFile,
    add_file,
    find_lines,
    is_blank,
    original_records,
    read_header,
)

EXAMPLES = full_count("examples of files", 150, 2_000)
TABS, COMMAS = Form("cp1252", "\t", ""), Form("utf-8", ",", '"')
CELLS = st.text(st.sampled_from("ab \"',;\té’ÿ\n\r\0"), max_size=6)
PLAIN = st.text(st.sampled_from('ab ",é’\x80'.replace("\x80", "€")), max_size=6)


def work_of(content, form, folder=None):
    """Return a work file and its cells, with what stands for others put back."""
    folder = Path(folder or tempfile.mkdtemp())
    (folder / "source").write_bytes(content)
    header = read_header(folder / "source", "a.csv", form)
    work = WorkFile(folder / "work", header, form.delimiter)
    add_file(work, folder / "source", "a.csv", form)
    text = work.path.read_bytes().decode()
    rows = [line.removesuffix(NOTHING).split(form.delimiter) for line in text.split("\n")[:-1]]
    assert len(rows) == work.lines
    marks = {NUL: "\0", LINE_FEED: "\n", CARRIAGE_RETURN: "\r", DELIMITER: form.delimiter}
    back = [["".join(marks.get(letter, letter) for letter in cell) for cell in row] for row in rows]
    assert work.has_marks == any(
        letter in marks or letter == "\ufffd" for row in rows for cell in row for letter in cell
    )
    return work, back


@pytest.mark.soak
@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(st.lists(CELLS, min_size=2, max_size=4), max_size=8), st.sampled_from(["\n", "\r\n"]), st.integers(16, 64)
)
def test_quoted_records_keep_every_cell_whatever_it_holds(records, end, block):
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(["x", "y"])
    writer.writerows(records)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(work_files, "BLOCK", block)
        work, back = work_of(text.getvalue().encode(), COMMAS, folder)
        assert (work.header, back) == (("x", "y"), records)
        numbers = [number for number, record in enumerate(records, 1) if len(record) != 2]
        found = original_records(Path(folder) / "source", COMMAS, numbers)
        assert [next(csv.reader(io.StringIO(text, newline=""))) for text in found] == [
            [cell.replace("\0", "") for cell in records[n - 1]] for n in numbers
        ]


@pytest.mark.soak
@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(st.lists(PLAIN, min_size=1, max_size=4), max_size=8),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.integers(16, 64),
)
def test_plain_lines_keep_every_cell_and_a_ragged_one_is_found_with_its_number(
    tmp_path_factory, records, end, is_whole, block
):
    lines = ["\t".join(record) for record in (["x", "y"], *records)]
    content = (end.join(lines) + (end if is_whole else "")).encode("cp1252")
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(work_files, "BLOCK", block)
        work, back = work_of(content, TABS, folder)
        rows = records if is_whole or not records or records[-1] != [""] else records[:-1]
        rows = [row if "\t".join(row).strip() else [""] for row in rows]  # says nothing
        assert back == rows
        found = [
            (n, "\t".join(row).encode()) for n, row in enumerate(rows, 1) if len(row) != 2 or not "".join(row).strip()
        ]
        bad = [*find_lines(work, frozenset())]
        assert [(number, line.removesuffix(NOTHING.encode())) for number, line in bad] == found
        assert [is_blank(work, line) for _, line in bad] == [not line.strip() for _, line in found]


def test_what_was_quoted_only_from_some_block_on_is_read_as_a_whole(monkeypatch, tmp_path):
    monkeypatch.setattr(work_files, "BLOCK", 16)
    lines = ["x,y"] + [f"{n},plain" for n in range(20)] + ['20,"a,b\nc"', "21,plain", '22,"d ""e"""']
    work, back = work_of("\n".join(lines).encode(), COMMAS, tmp_path)
    assert work.parts[0].is_quoted
    assert back == [*([str(n), "plain"] for n in range(20)), ["20", "a,b\nc"], ["21", "plain"], ["22", 'd "e"']]


@pytest.mark.parametrize(
    ("content", "form", "words"),
    [
        (b"", TABS, "is empty"), (b" \r\n", TABS, "is empty"), (b"\xef\xbb\xbf", COMMAS, "is empty"),
        (b"x\ty\r1\t2\r", TABS, "carriage return alone"), (b"x\ty\n" + b"a" * 3_500_000, TABS, "longer than"),
        (b'x,y\n"' + b'","'.join([b"a" * 600_000 + b"\n"] * 2) + b'"\n', COMMAS, "record 1 is longer than"),
        (b'x,y\n1,"never closed\n2,3\n', COMMAS, "the quotes of record 1 do not fit"),
        (b'x,y\n1,2\n"3"inch,4\n', COMMAS, "the quotes of record 2 do not fit"), (b'x,"y\n1,2\n', COMMAS, "the quotes of its header"),
        (b'x,y\n1,"never closed\n' + b"b,c\n" * 400_000, COMMAS, "the quotes of record 1 do not fit"),
    ],
    ids=range(10),
)  # fmt: skip
def test_what_is_no_table_is_refused(tmp_path, content, form, words):
    with pytest.raises(DataError, match=words):
        work_of(content, form, tmp_path)


@pytest.mark.parametrize(
    ("content", "form", "header", "rows"),
    [
        (b"\xef\xbb\xbfx,y\n1,2", COMMAS, ("x", "y"), [["1", "2"]]), (b'"x","y, z"\n1,2\n', COMMAS, ("x", "y, z"), [["1", "2"]]),
        (b" x \t y\r\n1\t2\r\n", TABS, ("x", "y"), [["1", "2"]]), (b"x\ty\n", TABS, ("x", "y"), []), (b"x\ty", TABS, ("x", "y"), []),
        (b"x\ty\n\x92\t\x81\n", TABS, ("x", "y"), [["’", "\ufffd"]]), (b"x,y\n\xff,\0\n", COMMAS, ("x", "y"), [["\ufffd", "\0"]]),
        (b"x\ty\na\rb\t2\n", TABS, ("x", "y"), [["a\rb", "2"]]), (b'x\ty\n"a\t2"\n', TABS, ("x", "y"), [['"a', '2"']]),
        (b'x,y\na\rb,2\r\n"c\r",d\re\r\n', COMMAS, ("x", "y"), [["a\rb", "2"], ["c\r", "d\re"]]),
        ("x,y\n\ufdd1,\ufdd3\n".encode(), COMMAS, ("x", "y"), [["\ufffd", "\ufffd"]]),
        ('x,y\n"\ufdd1",\ufdd3\n'.encode(), COMMAS, ("x", "y"), [["\ufffd", "\ufffd"]]),
    ],
    ids=range(12),
)  # fmt: skip
def test_edges_of_files_are_read(tmp_path, content, form, header, rows):
    work, back = work_of(content, form, tmp_path)
    assert (work.header, back) == (header, rows)

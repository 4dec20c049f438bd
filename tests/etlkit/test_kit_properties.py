"""What holds for any text and any bytes: secrets stay hidden, and what is stored is what was sent."""

from __future__ import annotations

import logging
import re
from contextlib import closing
from uuid import uuid4

import pytest

from etlkit.testing import full_count

pytestmark = pytest.mark.soak

pytest.importorskip("hypothesis", reason="hypothesis is not installed: pip install -r requirements-dev.txt")
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kit_database import emptied, made_database

from etlkit.copying import copy_rows
from etlkit.logs import RedactingFormatter, redact
from etlkit.postgres import connect
from etlkit.rejects import Reject, create_staging, fill_rejected_records, stage_rejects

EXAMPLES = full_count("examples of the kit's properties", 200, 2_000)
EXAMPLES_ON_A_SERVER = full_count("examples of the kit's properties on a server", 80, 1_000)
SECRETS = st.text(st.characters(exclude_characters="*"), min_size=4, max_size=20)
"""Any secret that does not contain the mark that takes its place."""
PLACES = (
    "{}",
    "say {}.",
    "'{}'",
    '"{}"',
    "key={}",
    "key={} next",
    "u://me:{}@host",
    "({})",
    "[{}, {}]",
    "a%2F{}%20b",
    "x\\n{}\\n",
)
"""Where a secret may stand in a line: whole, whatever is around it."""

on_a_server = settings(
    max_examples=EXAMPLES_ON_A_SERVER, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

HOSTILE = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.sampled_from(
    [
        "",
        "\\",
        "\\N",
        "\\.",
        "\\\\N",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "\\n",
        "NULL",
        "a\tb\\\nc",
        "\b\f\v\x7f",
        "'\"",
        "é\u2028",
    ]
)


@pytest.fixture(scope="module")
def kit_database(postgres):
    """The database of this module's tests."""
    with made_database(postgres, "kit_properties") as made:
        yield made


@pytest.fixture
def worker(kit_database):
    """A connection to it."""
    with closing(connect(emptied(kit_database), "worker")) as opened:
        yield opened


@pytest.fixture
def copied(worker, tmp_path):
    """Return a function that copies rows of text and bytes to the server and reads them back."""
    path = tmp_path / "copy.sql"
    path.write_text("copy copied (n, text, bytes) from stdin")
    with worker, worker.cursor() as cursor:
        cursor.execute("create table copied (n integer, text text, bytes bytea)")

    def there_and_back(sent):
        with worker, worker.cursor() as cursor:
            cursor.execute("truncate copied")
            count = copy_rows(cursor, path, ((n, *fields) for n, fields in enumerate(sent)))
            cursor.execute("select text, bytes from copied order by n")
            return count, [(text, None if data is None else bytes(data)) for text, data in cursor.fetchall()]

    return there_and_back


def line(message):
    return logging.LogRecord("test", logging.INFO, __file__, 1, message, (), None)


@settings(max_examples=EXAMPLES, deadline=None)
@given(before=st.text(), secret=SECRETS, between=st.sampled_from(PLACES), after=st.text())
@example(before="", secret="pass", between="database {}", after="")
def test_a_known_secret_never_gets_through(before, secret, between, after):
    shown = redact(f"{before} {between.format(secret, secret)} {after}", [secret])
    assert not re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", shown)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    before=st.text(),
    secret=SECRETS.filter(lambda text: not re.fullmatch(r"\w+", text)),
    between=st.text(),
    after=st.text(),
)
def test_a_secret_that_is_no_word_never_gets_through_at_all(before, secret, between, after):
    assert secret not in redact(f"{before}{secret}{between}{secret}{after}", [secret])


@settings(max_examples=EXAMPLES, deadline=None)
@given(secret=st.from_regex(r"[a-zA-Z0-9]{1,8}", fullmatch=True), ending=st.from_regex(r"\w{1,5}", fullmatch=True))
def test_a_longer_word_does_not_betray_the_secret_in_it(secret, ending):
    text = f"{secret}{ending} authentication failed, {ending}{secret} too"
    assert redact(text, [secret]) == text or secret in {ending, *text.replace(",", "").split()}


@settings(max_examples=EXAMPLES, deadline=None)
@given(known=st.lists(SECRETS, min_size=1, max_size=4), parts=st.data())
def test_of_several_secrets_none_gets_through(known, parts):
    pieces = parts.draw(st.lists(st.one_of(st.sampled_from(known), st.text(max_size=5)), max_size=8))
    shown = RedactingFormatter("%(message)s", known).format(line("@".join(pieces)))
    assert [secret for secret in known if re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", shown)] == []


@settings(max_examples=EXAMPLES, deadline=None)
@given(text=st.text(st.characters(exclude_characters=":=@")))
def test_text_without_secrets_stays_as_it_is(text):
    assert redact(text, ["not in this text: @"]) == text


@on_a_server
@given(sent=st.lists(st.tuples(st.none() | HOSTILE, st.none() | st.binary()), max_size=20))
@example(sent=[("\\.", b"\\."), ("", b""), (None, None), ("\\N", b"\\N"), ("\\", bytes(range(256)))])
def test_copied_rows_arrive_as_they_were_sent(copied, sent):
    assert copied(sent) == (len(sent), sent)


@on_a_server
@given(raw=st.binary(max_size=20_000))
def test_the_bytes_of_a_rejected_record_are_kept_exactly(worker, raw):
    with worker, worker.cursor() as cursor:
        create_staging(cursor)
        stage_rejects(cursor, [Reject("source", "1", raw, ("bad_at",))])
        fill_rejected_records(cursor, uuid4())
        cursor.execute("select raw from meta.rejected_records")
        assert [bytes(kept) for (kept,) in cursor.fetchall()] == [raw]

"""RxNorm: releases of a stand-in NLM, its files without a header, its mappings; the key is nowhere to be seen."""

from __future__ import annotations

import json
import logging
from datetime import date

import pytest

from warehouse.sample_sources.rxnorm import DOWNLOAD, RELEASE_TYPE, RELEASES, RxNorm, download_path, put_release

KEY = "0a1b2c3d-the-key-of-umls"
NOVEMBER, DECEMBER = date(2026, 11, 2), date(2026, 12, 7)
MAPPINGS = "rxnorm-ndc-mappings"


@pytest.fixture
def rxnorm(anywhere, monkeypatch, caplog):
    """A warehouse that asks the stand-in; in the end the key is looked for in everything that was said or stored."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("UMLS_API_KEY", KEY)
    url = anywhere.sources.url
    anywhere.configure("rxnorm", lambda config: config["nlm_release"].update(
        releases_url=url + RELEASES, download_url=url + DOWNLOAD
    ))  # fmt: skip
    said = []
    command = anywhere.command

    def heard(*arguments):
        done = command(*arguments)
        said.append(f"{done.text} {done.figures}")
        return done

    monkeypatch.setattr(anywhere, "command", heard)
    yield anywhere
    log = (anywhere.root.parent / "warehouse.log").read_text()
    for text in (log, *said, *(record.getMessage() for record in caplog.records if record.name != "werkzeug")):
        assert KEY not in text
    assert not [name for name, content in anywhere.files().items() if KEY.encode() in content]


def test_a_release_is_found_downloaded_and_typed(rxnorm):
    put_release(rxnorm.sources, RxNorm(NOVEMBER, concepts=40), KEY)
    done = rxnorm.run("rxnorm")
    assert done.exit_code == 0, done.text
    rows = {table: told["rows"] for table, told in done.figures["tables"].items()}
    assert rows == {"rxnconso": 40, "rxnrel": 39, "rxnsat": 123, "rxnsty": 40, "rxncui": 1, "rxnatomarchive": 1}
    (row,) = rxnorm.ask("rxnorm", "select rxcui, str, cvf, meta_release_date from rxnorm_rxnconso where rxcui = '1007'")
    assert row == {
        "rxcui": "1007", "str": "solvarin 7 MG Oral Tablet", "cvf": "4096", "meta_release_date": "2026-11-02"
    }  # fmt: skip
    asked = len(rxnorm.sources.requests)
    assert rxnorm.run("rxnorm").figures["is_published"] is False
    assert len(rxnorm.sources.requests) == asked + 1  # the list alone
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("UMLS_API_KEY")
        assert rxnorm.run("rxnorm").exit_code == 0  # nor is a key wanted for it
    digests = rxnorm.digests("rxnorm")
    assert rxnorm.run("rxnorm", "--from-raw", done.figures["run_id"]).exit_code == 0
    assert rxnorm.digests("rxnorm") == digests
    archive = rxnorm.root.parent / "RxNorm_full_11022026.zip"
    archive.write_bytes(RxNorm(NOVEMBER, concepts=40).archive())
    assert rxnorm.run("rxnorm", "--from-file", str(archive), "--force").exit_code == 0
    assert rxnorm.digests("rxnorm") == digests
    nameless = archive.rename(archive.with_name("a.zip"))
    refused = rxnorm.run("rxnorm", "--from-file", str(nameless))
    assert (refused.exit_code, "does not say of which day it is" in refused.text) == (2, True), refused.text
    assert rxnorm.run("rxnorm", "--from-file", str(nameless), "--release-date", "2026-11-02").exit_code == 0


def test_mappings_have_a_history_of_two_part_keys(rxnorm):
    lines = (
        "1000|||49999|AUI|1000|ATq||NDC|RXNORM|01000000001|N|4096|",
        "1001|||50001|AUI|1001|ATr||NDC|RXNORM|1000-0001-01|N|4096|",
    )
    put_release(rxnorm.sources, RxNorm(NOVEMBER, concepts=40, extra_lines={"RXNSAT": lines}), KEY)
    assert rxnorm.run("rxnorm").exit_code == 0
    done = rxnorm.run(MAPPINGS, run_id="20261102_060000")
    assert done.exit_code == 3, done.text
    assert done.figures["sources"] == [{
        "source": "rxnorm, rxnsat", "rows": 82,
        "left_out": {"no valid NDC-11": 1, "repeats a pair of concept and NDC-11": 1},
    }]  # fmt: skip
    assert rxnorm.ask(MAPPINGS, "select rxaui from rxnorm_ndc_mappings where rxcui = '1000' and ndc_11 like '%01'") == [
        {"rxaui": "49999"}
    ]
    put_release(rxnorm.sources, RxNorm(DECEMBER, concepts=38), KEY)
    assert rxnorm.run("rxnorm").exit_code == 0
    change = rxnorm.run(MAPPINGS, run_id="20261207_060000").figures["change"]
    assert [change[name] for name in ("new", "changed", "gone", "unchanged")] == [0, 0, 4, 76]
    found = rxnorm.command("history", MAPPINGS, "1039", "01000003901").figures["versions"]
    assert [(row["active_from"], row["active_to"]) for row in found] == [("2026-11-02", "2026-12-07")]
    (row,) = rxnorm.ask(MAPPINGS, "select distinct release_date from rxnorm_ndc_mappings where status = 'current'")
    assert row == {"release_date": "2026-12-07"}


def test_the_release_that_was_asked_for_or_none(rxnorm):
    put_release(rxnorm.sources, RxNorm(NOVEMBER, concepts=40), KEY)
    refused = rxnorm.run("rxnorm", "--release-date", "2026-12-07")
    assert (refused.exit_code, "has no release of 2026-12-07; the latest are 2026-11-02" in refused.text) == (1, True)
    put_release(rxnorm.sources, RxNorm(DECEMBER, concepts=40), KEY)
    rxnorm.sources.put(download_path(RxNorm(DECEMBER), KEY), RxNorm(NOVEMBER, concepts=40).archive())
    refused = rxnorm.run("rxnorm")
    assert (refused.exit_code, "sent the release of 2026-11-02, not that of 2026-12-07" in refused.text) == (1, True)
    put_release(rxnorm.sources, RxNorm(NOVEMBER, concepts=40), KEY, is_current=False)
    assert rxnorm.run("rxnorm", "--release-date", "2026-11-02").exit_code == 0
    refused = rxnorm.run("fda-nsde", "--release-date", "2026-11-02")
    assert (refused.exit_code, "--release-date means nothing to fda-nsde" in refused.text) == (2, True)


@pytest.mark.parametrize(
    ("path", "fault", "attempts", "words"),
    [
        (DOWNLOAD, "401", 1, "answers 401 Unauthorized: not now"), (DOWNLOAD, "429@0", 4, "answers 429"),
        (DOWNLOAD, "html", 1, "is not a zip"), (RELEASES, "401", 1, "answers 401"),
        (RELEASES, "html", 1, "sent no list of releases; it begins with: '<!DOCTYPE"),
        (RELEASES, "503", 4, "answers 503"), (DOWNLOAD, "short", 4, "/download"), (DOWNLOAD, "reset", 4, "/download"),
    ],
)  # fmt: skip
def test_what_nlm_refuses_is_told_and_nothing_is_published(rxnorm, path, fault, attempts, words):
    put_release(rxnorm.sources, RxNorm(NOVEMBER, concepts=40), KEY)
    for name, served in rxnorm.sources.files.items():
        if name.startswith(path):
            served.faults = [fault] * 9
    refused = rxnorm.run("rxnorm", "--log-level", "DEBUG")
    assert (refused.exit_code, words in refused.text) == (1, True), refused.text
    assert len([name for name, _ in rxnorm.sources.requests if name.startswith(path)]) == attempts
    assert not [name for name in rxnorm.files() if name.startswith(("bronze/", "raw/"))]


def test_a_server_that_repeats_the_key_does_not_show_it(rxnorm):
    put_release(rxnorm.sources, RxNorm(NOVEMBER, concepts=40), KEY)
    rxnorm.sources.put(download_path(RxNorm(NOVEMBER), KEY), f"<html>apiKey {KEY} is not known".encode())
    refused = rxnorm.run("rxnorm")
    assert (refused.exit_code, "is not a zip" in refused.text) == (1, True), refused.text


@pytest.mark.parametrize(
    "listed", [b"[]", b"{}", b'[{"releaseDate": "soon", "downloadUrl": "x"}]', b"[1]", b'{"a": 1}']
)
def test_a_list_that_is_none_is_told(rxnorm, listed):
    rxnorm.sources.put(f"{RELEASES}?releaseType={RELEASE_TYPE}&current=true", listed)
    refused = rxnorm.run("rxnorm")
    assert (refused.exit_code, "release" in refused.text) == (1, True), refused.text
    assert "unexpected" not in refused.text


def test_without_a_key_it_is_told_what_to_set_and_a_secret_may_hold_it(rxnorm, monkeypatch):
    put_release(rxnorm.sources, RxNorm(NOVEMBER, concepts=40), KEY)
    monkeypatch.delenv("UMLS_API_KEY")
    refused = rxnorm.run("rxnorm")
    assert (refused.exit_code, "Set UMLS_API_KEY or UMLS_API_KEY_SECRET_ID" in refused.text) == (2, True)


def test_a_secret_of_aws_holds_the_key(rxnorm, endpoint, monkeypatch):
    import boto3

    put_release(rxnorm.sources, RxNorm(NOVEMBER, concepts=40), KEY)
    for name, value in (
        ("AWS_ENDPOINT_URL", endpoint), ("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "a-secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"), ("UMLS_API_KEY_SECRET_ID", "umls-api-key-of-test"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("UMLS_API_KEY")
    refused = rxnorm.run("rxnorm")
    assert (refused.exit_code, "'umls-api-key-of-test' cannot be read" in refused.text) == (2, True), refused.text
    client = boto3.client("secretsmanager")
    client.create_secret(Name="umls-api-key-of-test", SecretString="{}")
    try:
        assert rxnorm.run("rxnorm").exit_code == 2
        for text in (KEY, json.dumps({"api_key": KEY})):
            client.put_secret_value(SecretId="umls-api-key-of-test", SecretString=text)
            assert rxnorm.run("rxnorm", "--force").exit_code == 0
    finally:
        client.delete_secret(SecretId="umls-api-key-of-test", ForceDeleteWithoutRecovery=True)


def test_lines_of_another_shape_are_quarantined_and_a_missing_table_is_an_error(rxnorm):
    rxnorm.configure("rxnorm", lambda config: config["data_quality"].update(max_rejected_pct=50))
    lines = (
        "1|T200|A1|Clinical|AT1|4096",
        "1|T200|A1|Clinical|AT1|4096||",
        "1|T200|A1|Clinical|AT1|4096|x",
        "",
        "1|T200|||||",
    )
    put_release(rxnorm.sources, RxNorm(NOVEMBER, concepts=40, extra_lines={"RXNSTY": lines}), KEY)
    done = rxnorm.run("rxnorm")
    assert done.exit_code == 3, done.text
    assert (done.figures["tables"]["rxnsty"]["rows"], done.figures["tables"]["rxnsty"]["rows_in"]) == (41, 44)
    rows = rxnorm.command("quarantine", "rxnorm").figures["rows"]
    assert [(row["raw_line"], row["reason"]) for row in rows] == [
        (lines[0], "5 delimiters instead of 6"), (lines[1], "7 delimiters instead of 6"),
        (lines[2], "something stands behind the delimiter that ends a line"),
    ]  # fmt: skip
    put_release(rxnorm.sources, RxNorm(DECEMBER, concepts=40, missing=("RXNCUI",)), KEY)
    refused = rxnorm.run("rxnorm")
    assert (refused.exit_code, "has no RXNCUI.RRF" in refused.text) == (1, True), refused.text

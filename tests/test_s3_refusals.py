"""What S3, or what stands in its place, says: each refusal shows the object, the code and S3's own words."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time

import pytest
from museum_case import CANNOT_MOUNT, HEADER, PROJECT_DIR, exhibition_json
from scripted_s3 import cut_off, refused, served, slowly

import museum.settings

ROW = "2023-03-06 10:00:00,1,3,\n"
KIOSK = (HEADER + ROW).encode()


@pytest.fixture
def s3(museum, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY", "AKIATESTTESTTEST")
    monkeypatch.setenv("AWS_SECRET_KEY", "very-secret-aws-key")
    monkeypatch.setattr("extract.RETRIES", 2)
    with served() as server:
        museum.source_flags = ["--bucket", "some-bucket", "--endpoint-url", server.address]
        yield server


REFUSALS = {
    "forbidden": (refused(403, "AccessDenied", "Access Denied by the bucket's policy"), "AWS_SECRET_KEY"),
    "gone": (refused(404, "NoSuchKey", "The specified key does not exist."), "run again"),
    "archived": (
        refused(403, "InvalidObjectState", "Not valid for its class", "<StorageClass>GLACIER</StorageClass>"),
        "StorageClass GLACIER. It lies in an archive",
    ),
    "expired": (refused(400, "ExpiredToken", "The provided token has expired."), "AWS_SESSION_TOKEN"),
    "skewed": (
        refused(403, "RequestTimeTooSkewed", "Too large", "<ServerTime>2026-01-01T00:00:00Z</ServerTime>"),
        "ServerTime 2026-01-01T00:00:00Z. Set this machine's clock",
    ),
    "a code of another maker": (refused(418, "XTeapot", "short and stout"), "Nothing was loaded"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_beside_a_slow_download_says_what_s3_said(museum, s3, kind):
    answer, advice = REFUSALS[kind]
    s3.hold("lmnh_hist_data_1.csv", slowly, size=1_000_000)
    s3.hold("lmnh_hist_data_2.csv", *answer)
    started = time.monotonic()
    result = museum.run_all()
    assert result.exit_code == 1
    code, message = answer[1].decode().split("<Code>")[1].split("</Code><Message>")
    words = message.split("</Message>")[0].rstrip(".")
    assert f"lmnh_hist_data_2.csv of bucket some-bucket ({code}): {words}" in result.figures["error"]
    assert advice in result.figures["error"]
    assert "unexpected" not in result.figures["error"]
    assert time.monotonic() - started < 20, "the slow one is not waited for"
    assert museum.count("review") == 0


def test_a_process_that_failed_waits_for_no_slow_download(museum, s3):
    """Its threads would hang for as long as bytes drip in."""
    s3.hold("lmnh_hist_data_1.csv", slowly, size=1_000_000)
    s3.hold("lmnh_hist_data_2.csv", *REFUSALS["forbidden"][0])
    command = [sys.executable, str(PROJECT_DIR / "extract.py"), *museum.source_flags, "--data-dir",
               str(museum.data_dir), "--log-file", str(museum.log_file)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, "AccessDenied" in done.stdout + done.stderr) == (1, True), done.stdout + done.stderr


def test_a_cut_body_beside_a_slow_download_names_the_object(museum, s3):
    s3.hold("lmnh_hist_data_1.csv", slowly, size=1_000_000)
    s3.hold("lmnh_hist_data_2.csv", cut_off, size=len(KIOSK))
    result = museum.run_all()
    assert result.exit_code == 1
    assert "reading lmnh_hist_data_2.csv of bucket some-bucket failed" in result.figures["error"]
    assert "10 read, but total bytes expected is 42" in result.figures["error"]


def test_an_object_that_was_replaced_meanwhile_is_named(museum, s3):
    s3.hold("lmnh_hist_data_2.csv", *refused(412, "PreconditionFailed", "At least one did not hold"))
    result = museum.run_all()
    assert (result.exit_code, "unexpected" in result.figures["error"]) == (1, False)
    assert "lmnh_hist_data_2.csv" in result.figures["error"]
    assert "did not match expected ETag. Nothing was loaded; run again." in result.figures["error"]


def test_a_full_disk_beside_a_slow_download_names_the_object(museum, s3):
    if os.geteuid() != 0:
        pytest.skip(CANNOT_MOUNT)
    tmpfs = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(museum.bucket_dir)]
    if subprocess.run(tmpfs, check=False, capture_output=True).returncode != 0:
        pytest.skip(CANNOT_MOUNT)
    try:
        s3.hold("lmnh_hist_data_1.csv", slowly, size=1_000_000)
        s3.hold("lmnh_hist_data_2.csv", 200, b"x" * 2_000_000)
        result = museum.run_all()
    finally:
        subprocess.run(["umount", str(museum.bucket_dir)], check=True)
    assert result.exit_code == 1
    assert "lmnh_hist_data_" in result.figures["error"]
    assert "No space left on device" in result.figures["error"]


@pytest.mark.parametrize("kind", ["forbidden", "archived"])
def test_what_no_stage_reads_stops_no_load(museum, s3, kind):
    """It comes last, its failure is a warning, and the next run tries it again."""
    s3.hold("lmnh_a_video.mp4", *REFUSALS[kind][0])
    s3.hold("lmnh_zoo.txt", 200, b"fine")
    s3.hold("lmnh_hist_data_1.csv", 200, KIOSK)
    s3.hold("lmnh_exhibition_one.json", 200, exhibition_json(1).encode())
    result = museum.run_all()
    assert (result.exit_code, museum.count("review")) == (0, 1)
    (warning,) = [line for line in result.lines if "lmnh_a_video.mp4 of bucket" in line]
    assert warning.startswith("warning: S3 refused")
    assert "No stage reads it, so the run goes on" in warning
    assert list(result.figures["extract"]["not_fetched"]) == ["lmnh_a_video.mp4"]
    assert (museum.bucket_dir / "lmnh_zoo.txt").read_bytes() == b"fine"
    s3.hold("lmnh_a_video.mp4", 200, b"thawed")
    assert museum.run_all().figures["extract"]["downloaded"] == 1


def test_an_archived_object_of_a_real_s3_is_named(museum, bucket):
    bucket.client.put_object(Bucket=bucket.name, Key="lmnh_hist_data_1.csv", Body=KIOSK, StorageClass="GLACIER")
    result = museum.run_all()
    assert result.exit_code == 1
    assert "lmnh_hist_data_1.csv" in result.figures["error"]
    assert "InvalidObjectState" in result.figures["error"]


REDIRECTS = {
    "PermanentRedirect": "<Endpoint>some-bucket.s3.eu-west-2.amazonaws.com</Endpoint>",
    "AuthorizationHeaderMalformed": "<Region>eu-west-2</Region>",
}


@pytest.mark.parametrize("code", REDIRECTS)
def test_the_place_that_s3_names_is_named(museum, s3, code):
    s3.listing = lambda: refused(400, code, "It must be addressed elsewhere", REDIRECTS[code])
    result = museum.run_all()
    assert result.exit_code == 1
    assert code in result.figures["error"]
    assert "eu-west-2" in result.figures["error"]
    assert "AWS_DEFAULT_REGION" in result.figures["error"]


def test_nothing_that_s3_says_of_keys_and_signatures_is_told(museum, s3):
    said = "<AWSAccessKeyId>AKIATESTTESTTEST</AWSAccessKeyId><StringToSign>AWS4 abc</StringToSign>"
    s3.listing = lambda: refused(403, "SignatureDoesNotMatch", "It does not match\n what was sent", said)
    result = museum.run_all()
    assert "(SignatureDoesNotMatch): It does not match what was sent" in result.figures["error"]
    assert "AWS4 abc" not in result.figures["error"] + museum.log_file.read_text()


NO_LISTINGS = {
    "a page": (200, b"<html><body>Please log in</body></html>", {"Content-Type": "text/html"}),
    "a page that is no XML": (200, b"<html><p>Please log in<br></html>", {"Content-Type": "text/html"}),
    "nothing": (200, b""),
    "JSON": (200, b'{"objects": []}', {"Content-Type": "application/json"}),
    "a proxy that refuses": (403, b"<html><body>By order of IT</body></html>", {"Content-Type": "text/html"}),
    "a listing that goes on nowhere": (200, b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"),
    "an object without a size": (
        200,
        b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>lmnh_x</Key></Contents></ListBucketResult>",
    ),
}


@pytest.mark.parametrize("kind", NO_LISTINGS)
def test_what_is_no_listing_is_no_empty_bucket(museum, s3, kind):
    s3.listing = lambda: NO_LISTINGS[kind]
    result = museum.run_all()
    assert result.exit_code == 1
    assert "does not speak S3" in result.figures["error"]
    assert "--endpoint-url" in result.figures["error"]
    assert len(result.figures["error"]) < 700


def test_a_compressed_object_is_named(museum, bucket):
    bucket.client.put_object(
        Bucket=bucket.name, Key="lmnh_hist_data_1.csv", Body=gzip.compress(KIOSK), ContentEncoding="gzip"
    )
    bucket.put("lmnh_exhibition_one.json", gzip.compress(exhibition_json(1).encode()))
    result = museum.run_all()
    assert result.exit_code == 3
    for key in ("lmnh_hist_data_1.csv", "lmnh_exhibition_one.json"):
        assert any(key in line and "compressed (gzip)" in line for line in result.lines), result.lines


@pytest.mark.parametrize("name", ["s3://{}", "s3://{}/"])
def test_a_bucket_s_address_is_understood(museum, bucket, name):
    bucket.put("lmnh_hist_data_1.csv", KIOSK)
    museum.source_flags[1] = name.format(bucket.name)
    assert museum.run_all().figures["extract"]["downloaded"] == 1
    assert museum.query("select bucket from event_source") == [(bucket.name,)]


@pytest.mark.parametrize("name", ["s3://bucket/folder", "bucket/folder", "no such name", "s3://"])
def test_what_is_no_bucket_s_name_is_a_wrong_setting(museum, bucket, name):
    museum.source_flags[1] = name
    result = museum.run_all()
    assert (result.exit_code, "Nothing was touched" in result.figures["error"]) == (2, True)


# ---------------------------------------------------------------------------------------------------------------------
# Which login
# ---------------------------------------------------------------------------------------------------------------------


def login_sent(museum, s3) -> tuple[str, str | None]:
    """Return the access key and the session token that S3 was shown."""
    assert museum.extract().exit_code == 0
    headers = s3.authorizations[-1]
    return headers["Authorization"].split("Credential=")[1].split("/")[0], headers.get("X-Amz-Security-Token")


@pytest.mark.parametrize(("key", "is_sent"), [("ASIATEMPORARY", True), ("AKIALASTING", False), ("minio", True)])
def test_temporary_keys_go_with_their_session_token(museum, s3, monkeypatch, key, is_sent):
    """Keys that begin with AKIA never have one: a token of the environment belongs to others."""
    monkeypatch.setenv("AWS_ACCESS_KEY", key)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-session-token")
    assert login_sent(museum, s3) == (key, "a-session-token" if is_sent else None)
    assert "a-session-token" not in museum.log_file.read_text()


@pytest.fixture
def env_file(tmp_path, monkeypatch):
    """Return a function that writes .env; what it gives to the environment goes after the test."""
    path = tmp_path / "given.env"
    for name in ("AWS_ACCESS_KEY", "AWS_SECRET_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(museum.settings, "ENV_FILE", path)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    return path.write_text


@pytest.mark.usefixtures("s3")
def test_boto3_s_own_variables_in_env_are_seen(museum, s3, env_file, monkeypatch, tmp_path):
    env_file("AWS_ACCESS_KEY_ID=ASIAOWN\nAWS_SECRET_ACCESS_KEY=own-secret-word\nAWS_SESSION_TOKEN=own-token\n")
    assert login_sent(museum, s3) == ("ASIAOWN", "own-token")
    assert "own-secret-word" not in museum.log_file.read_text()


def test_a_profile_in_env_is_seen(museum, s3, env_file, tmp_path):
    credentials = tmp_path / "credentials"
    credentials.write_text("[museum]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = x\n")
    env_file(f"AWS_PROFILE=museum\nAWS_SHARED_CREDENTIALS_FILE={credentials}\n")
    del os.environ["AWS_SHARED_CREDENTIALS_FILE"]
    assert login_sent(museum, s3) == ("AKIAPROFILE", None)


def test_a_login_of_the_environment_is_not_mixed_with_one_of_env(museum, s3, env_file):
    os.environ.update({"AWS_ACCESS_KEY_ID": "AKIAOUTSIDE", "AWS_SECRET_ACCESS_KEY": "y"})
    env_file("AWS_ACCESS_KEY_ID=ASIAOWN\nAWS_SECRET_ACCESS_KEY=z\nAWS_SESSION_TOKEN=own-token\nAWS_PROFILE=nobody\n")
    assert login_sent(museum, s3) == ("AKIAOUTSIDE", None)


def test_a_profile_that_is_not_there_is_a_wrong_setting(museum, s3, env_file):
    env_file("AWS_PROFILE=nobody\n")
    result = museum.extract()
    assert (result.exit_code, "nobody" in result.figures["error"]) == (2, True)

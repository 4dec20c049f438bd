"""The extract against a real S3 over HTTP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from museum_case import CANNOT_MOUNT, HEADER, PROJECT_DIR

import extract
from museum.batch.bucket_files import key_problem, natural_order

ROW = "2023-03-06 10:00:00,1,3,\n"


def files(museum) -> dict[str, bytes]:
    """Return every file of the data folder's bucket_data but the extract's own."""
    return {
        str(path.relative_to(museum.bucket_dir)): path.read_bytes()
        for path in museum.bucket_dir.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_keys_with_the_prefix_are_mirrored_and_no_others(museum, bucket):
    bucket.put("lmnh_hist_data_0.csv", HEADER)
    bucket.put("lmnh/deep/er/file.bin", bytes(range(256)))
    bucket.put("lmnh_exhibition", b"")
    bucket.put("lms_hist_data_0.csv", HEADER)
    bucket.put("us-states.json", "{}")
    result = museum.extract()
    assert result.exit_code == 0
    assert files(museum) == {
        "lmnh_hist_data_0.csv": HEADER.encode(),
        "lmnh/deep/er/file.bin": bytes(range(256)),
        "lmnh_exhibition": b"",
    }
    assert result.figures["extract"]["bytes"] == len(HEADER) + 256


def test_more_keys_than_a_listing_has(museum, bucket, monkeypatch):
    """S3 lists a thousand at a time; this server lists ten."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")
    for number in range(43):
        bucket.put(f"lmnh_hist_data_{number}.csv", HEADER)
    assert len(bucket.client.list_objects_v2(Bucket=bucket.name)["Contents"]) == 10
    result = museum.extract()
    assert result.figures["extract"]["downloaded"] == 43
    assert len(files(museum)) == 43


def test_an_empty_bucket_is_no_error(museum, bucket):
    result = museum.extract()
    assert result.exit_code == 0
    assert result.figures["extract"]["objects"] == 0
    assert any("holds no key" in line for line in result.lines)


def test_what_is_here_already_is_not_fetched_again(museum, bucket):
    bucket.put("lmnh_hist_data_0.csv", HEADER)
    bucket.put("lmnh_hist_data_1.csv", HEADER + ROW)
    museum.extract()
    bucket.put("lmnh_hist_data_1.csv", HEADER + ROW.replace(",3,", ",4,"))
    figures = museum.extract().figures["extract"]
    assert (figures["downloaded"], figures["already_here"]) == (1, 1)
    assert files(museum)["lmnh_hist_data_1.csv"] == (HEADER + ROW.replace(",3,", ",4,")).encode()


@pytest.mark.parametrize("damage", ["edited", "truncated", "deleted", "manifest lost"])
def test_a_damaged_local_file_is_fetched_again(museum, bucket, damage):
    bucket.put("lmnh_hist_data_0.csv", HEADER + ROW)
    museum.extract()
    path = museum.bucket_dir / "lmnh_hist_data_0.csv"
    if damage == "edited":
        path.write_text(HEADER + ROW.replace(",3,", ",0,"))
    elif damage == "truncated":
        path.write_text(HEADER)
    elif damage == "deleted":
        path.unlink()
    else:
        (museum.bucket_dir / ".extract_manifest.json").write_text("{")
    assert museum.extract().figures["extract"]["downloaded"] == 1
    assert files(museum)["lmnh_hist_data_0.csv"] == (HEADER + ROW).encode()


def test_another_bucket_s_files_do_not_count_as_this_one_s(museum, bucket, s3_endpoint):
    bucket.put("lmnh_hist_data_0.csv", HEADER)
    museum.extract()
    other = type(bucket)(f"{bucket.name}-other", s3_endpoint)
    other.put("lmnh_hist_data_0.csv", HEADER)
    museum.source_flags = ["--bucket", other.name, "--endpoint-url", s3_endpoint]
    assert museum.extract().figures["extract"]["downloaded"] == 1


HOSTILE_KEYS = [
    "lmnh/../../escaped.csv", "lmnh/../escaped.csv", "lmnh/./x.csv", "lmnh//x.csv", "lmnh\\..\\x.csv", "lmnh_\x01.csv",
    "lmnh_\x7f.csv", "lmnh_" + "x" * 300,
]  # fmt: skip


def test_a_hostile_key_writes_nothing_and_is_named(museum, bucket):
    for key in HOSTILE_KEYS:
        bucket.put(key, "harm")
    bucket.put("lmnh_hist_data_0.csv", HEADER)
    before = set(museum.data_dir.parent.rglob("*"))
    result = museum.extract()
    assert result.exit_code == 0
    unsafe = result.figures["extract"]["unsafe_keys"]
    assert set(unsafe) == set(HOSTILE_KEYS)
    assert files(museum) == {"lmnh_hist_data_0.csv": HEADER.encode()}
    written = set(museum.data_dir.parent.rglob("*")) - before
    assert all(path.is_relative_to(museum.data_dir) for path in written)
    assert sum("skipped the key" in line for line in result.lines) == len(HOSTILE_KEYS)


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("lmnh/../../x", "path steps out of its folder"),
        ("/lmnh/x", "absolute path"),
        ("C:lmnh", "absolute path"),
        ("lmnh\n.csv", "control character in the key"),
        ("lmnh\x00.csv", "control character in the key"),
        ("lmnh_" + "x" * 1_019, "name longer than 255 bytes"),
        ("lmnh_" + "é" * 130, "name longer than 255 bytes"),
        ("lmnh/" + "/".join("x" * 200 for _ in range(6)), "key longer than 1024 bytes"),
        ("lmnh_\udcff.csv", "key is not valid Unicode"),
        ("lmnh/folder/", "folder marker"),
        ("lmnh/" + "/".join("x" * 100 for _ in range(10)), None),
        ("lmnh_hist_data_0.csv", None),
        ("lmnh/...", None),
    ],
)  # fmt: skip
def test_which_keys_are_unsafe(key, problem):
    assert key_problem(key) == problem


def test_a_key_of_1024_characters_is_mirrored_when_its_names_are_short(museum, bucket):
    key = "lmnh/" + "/".join("x" * 101 for _ in range(10))
    assert len(key) == 1_024
    bucket.put(key, "long")
    museum.data_dir.mkdir(exist_ok=True)
    assert museum.extract().exit_code == 0
    assert files(museum) == {key: b"long"}


def test_a_key_that_is_a_file_and_a_folder_at_once_does_no_harm(museum, bucket):
    bucket.put("lmnh_a/b.csv", "inner")
    museum.extract()
    bucket.put("lmnh_a", "outer")
    result = museum.extract()
    assert result.exit_code == 0
    assert set(result.figures["extract"]["unsafe_keys"]) == {"lmnh_a", "lmnh_a/b.csv"}
    assert files(museum) == {"lmnh_a/b.csv": b"inner"}


def test_both_a_file_and_a_folder_in_one_listing_do_no_harm(museum, bucket):
    bucket.put("lmnh_a", "outer")
    bucket.put("lmnh_a/b.csv", "inner")
    bucket.put("lmnh_hist_data_0.csv", HEADER)
    result = museum.extract()
    assert result.exit_code == 0
    assert files(museum)["lmnh_hist_data_0.csv"] == HEADER.encode()
    assert len(result.figures["extract"]["unsafe_keys"]) == 1


def test_a_link_in_the_folder_leads_nowhere(museum, bucket, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    museum.bucket_dir.mkdir(parents=True)
    (museum.bucket_dir / "lmnh").symlink_to(outside)
    bucket.put("lmnh/x.csv", "harm")
    assert museum.extract().figures["extract"]["unsafe_keys"] == {"lmnh/x.csv": "a link in the folder leads outside"}
    assert list(outside.iterdir()) == []


def test_a_missing_bucket_is_one_clear_line(museum, bucket):
    museum.source_flags[1] = "no-such-bucket-anywhere"
    result = museum.extract()
    assert result.exit_code == 1
    assert "no-such-bucket-anywhere" in result.figures["error"]
    assert "--bucket" in result.figures["error"]
    assert len([line for line in result.lines if line.startswith("error")]) == 1


def test_no_network_is_one_clear_line_after_bounded_retries(museum, bucket):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        museum.source_flags[3] = f"http://127.0.0.1:{closed.getsockname()[1]}"
        result = museum.extract()
    assert result.exit_code == 1
    assert "cannot reach S3" in result.figures["error"]


def test_an_endpoint_that_is_no_url_is_a_settings_error(museum, bucket):
    museum.source_flags[3] = "not a url"
    assert museum.extract().exit_code == 2


def test_only_one_of_the_two_keys_is_a_settings_error(museum, bucket, monkeypatch, capsys):
    monkeypatch.delenv("AWS_SECRET_KEY")
    assert extract.main(["--data-dir", str(museum.data_dir)]) == 2
    assert "AWS_SECRET_KEY" in capsys.readouterr().err


def test_no_credentials_at_all_is_one_clear_line(museum, bucket, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY")
    monkeypatch.delenv("AWS_SECRET_KEY")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers a login that an earlier test has found
    result = museum.extract()
    assert result.exit_code == 1
    assert "AWS_ACCESS_KEY" in result.figures["error"]


def test_wrong_credentials_are_one_clear_line_without_the_secret(museum, bucket, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    strict = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        museum.source_flags[3] = f"http://127.0.0.1:{port}"
        result = museum.extract()
    finally:
        strict.terminate()
        strict.wait(timeout=20)
    assert result.exit_code == 1
    assert "refused" in result.figures["error"]
    assert "AWS_SECRET_KEY" in result.figures["error"]
    assert "very-secret-aws-key" not in museum.log_file.read_text() + result.figures["error"]


class _ShortS3(BaseHTTPRequestHandler):
    """Lists one object of 100 bytes and sends 10 of them."""

    def do_GET(self) -> None:
        if "list-type" in self.path:
            body = (
                b'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated><Contents>'
                b"<Key>lmnh_hist_data_0.csv</Key><ETag>&quot;x&quot;</ETag><Size>100</Size></Contents></ListBucketResult>"
            )
        else:
            body = b"0123456789"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"x"')
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.send_header("ETag", '"x"')
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be quiet."""


def test_an_object_that_arrives_short_is_refused_and_leaves_no_file(museum, bucket):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _ShortS3)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        museum.source_flags[3] = f"http://127.0.0.1:{server.server_port}"
        result = museum.extract()
    finally:
        server.shutdown()
        server.server_close()
    assert result.exit_code == 1
    assert "lmnh_hist_data_0.csv" in result.figures["error"]
    assert files(museum) == {}


def test_a_full_disk_is_one_clear_line(museum, bucket):
    if os.geteuid() != 0:
        pytest.skip(CANNOT_MOUNT)
    museum.bucket_dir.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(museum.bucket_dir)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(CANNOT_MOUNT)
    try:
        bucket.put("lmnh_hist_data_0.csv", b"x" * 1_000_000)
        result = museum.extract()
    finally:
        subprocess.run(["umount", str(museum.bucket_dir)], check=True)
    assert result.exit_code == 1
    assert "No space left on device" in result.figures["error"]


def test_natural_order_puts_ten_after_nine():
    keys = ["lmnh_hist_data_10.csv", "lmnh_hist_data_9.csv", "lmnh_hist_data_09.csv", "lmnh_hist_data_1.csv"]
    assert sorted(keys, key=natural_order) == [
        "lmnh_hist_data_1.csv", "lmnh_hist_data_09.csv", "lmnh_hist_data_9.csv", "lmnh_hist_data_10.csv",
    ]  # fmt: skip


def test_the_functions_of_the_founding_document_keep_their_names():
    for name in ("get_s3_client", "list_objects", "download_objects"):
        assert callable(getattr(extract, name))


class _BreakingS3(_ShortS3):
    """Lists one object of 100 bytes and breaks off after 10, or stalls."""

    stalls = False

    def do_GET(self) -> None:
        if "list-type" in self.path:
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.send_header("ETag", '"x"')
        self.end_headers()
        self.wfile.write(b"0123456789")
        self.wfile.flush()
        if self.stalls:
            self.server.ended.wait(120)
        self.close_connection = True


class _StallingS3(_BreakingS3):
    stalls = True

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.send_header("ETag", '"x"')
        self.end_headers()


class _BrokenOffS3(_StallingS3):
    stalls = False


@pytest.fixture
def serve():
    """Serve a hostile S3 and return its address."""
    servers = []

    def start(handler) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.ended = threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.ended.set()
        server.shutdown()
        server.server_close()


def test_a_download_that_breaks_off_names_the_object_after_bounded_retries(museum, bucket, serve):
    museum.source_flags[3] = serve(_BrokenOffS3)
    result = museum.extract()
    assert result.exit_code == 1
    assert "lmnh_hist_data_0.csv" in result.figures["error"]
    assert "unexpected" not in result.figures["error"]
    assert files(museum) == {}


@pytest.mark.full
def test_a_signal_is_obeyed_while_a_download_stalls(museum, bucket, serve):
    address = serve(_StallingS3)
    process = subprocess.Popen(
        [sys.executable, str(PROJECT_DIR / "extract.py"), "--bucket", "some-bucket", "--endpoint-url", address,
         "--data-dir", str(museum.data_dir), "--log-file", str(museum.log_file)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(3)
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, out + err
    assert err == ""

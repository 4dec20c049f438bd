"""The table "What happens when" of docs/operations.md: each of its lines is tried, with exit code and words."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass

import pytest
from museum_case import HEADER, PROJECT_DIR, exhibition_json, point_at
from scripted_s3 import cut_off, refused, served
from sham_servers import answering, garbage

import museum.settings
from etlkit.__main__ import main as etlkit_main
from etlkit.postgres import connect
from museum.batch.kiosk_files import inspect_file

pytestmark = pytest.mark.database

TABLE = (PROJECT_DIR / "docs" / "operations.md").read_text(encoding="utf-8").split("## What happens when")[1]
ROWS = re.findall(r"^\| (.+?) \| (\d+) \| `(.+)` \|$", TABLE.split("\n## ")[0], re.MULTILINE)
PRESSES = [f"2024-03-05 10:00:{second:02},1,3," for second in range(10)]
KIOSK = (HEADER + "".join(f"{row}\n" for row in PRESSES)).encode()
KEY = "lmnh_hist_data_1.csv"
Said = tuple[int, list[str]]
SCENARIOS = {}


def scenario(what: str):
    """Register the function that does what a line of the table says."""

    def register(function):
        SCENARIOS[what] = function
        return function

    return register


@dataclass
class Scene:
    """A museum with one exhibition and a kiosk file of ten presses, and what its scenarios need."""

    museum: object
    monkeypatch: pytest.MonkeyPatch
    tmp_path: object

    def write(self, *rows: str, key: str = KEY) -> None:
        self.museum.write(key, HEADER + "".join(f"{row}\n" for row in rows))

    def push(self, *flags: str) -> Said:
        result = self.museum.push(*flags)
        return result.exit_code, [*result.lines, result.figures.get("error", "")]

    def extract(self, *flags: str) -> Said:
        result = self.museum.run_all(*flags)
        return result.exit_code, [*result.lines, result.figures.get("error", "")]

    def from_s3(self, **answers: object) -> Said:
        """Push from an S3 that answers so for each key, its dots as underscores."""
        self.monkeypatch.setenv("AWS_ACCESS_KEY", "ASIATEST")
        self.monkeypatch.setenv("AWS_SECRET_KEY", "secret-of-the-test")
        self.monkeypatch.setattr("extract.RETRIES", 2)
        for path in self.museum.bucket_dir.iterdir():
            path.unlink()
        with served() as server:
            listing = answers.pop("listing", None)
            if listing:
                server.listing = lambda: listing
            server.hold("lmnh_exhibition_one.json", 200, exhibition_json(1).encode())
            for name, answer in answers.items():
                server.hold(name.replace("__", "."), answer, size=len(KIOSK))
            self.museum.source_flags = ["--bucket", "some-bucket", "--endpoint-url", server.address]
            return self.extract()

    def as_owner(self, statement: str) -> None:
        with closing(connect(self.museum.database, "owner")) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def as_role(self, then: str) -> Said:
        """Push as a role of its own, of which a statement was run."""
        owner, name = self.museum.database, f"{self.museum.database.db_name}_role"
        self.as_owner(f"create role {name} login password 'role-of-the-test'")
        try:
            self.as_owner(f"grant usage on schema public, meta to {name}")
            self.as_owner(f"grant all on all tables in schema public, meta to {name}")
            self.as_owner(f"grant execute on all functions in schema public to {name}")
            self.as_owner(then.format(role=name, database=owner.db_name))
            self.monkeypatch.setenv("DB_PASSWORD", "role-of-the-test")
            self.museum.database = owner.model_copy(update={"db_user": name})
            return self.push()
        finally:
            self.museum.database = owner
            self.as_owner(f"drop owned by {name}")
            self.as_owner(f"drop role {name}")

    def with_env(self, text: str, mode: int = 0o600) -> Said:
        """Push with a .env of this content."""
        path = self.tmp_path / ".env"
        path.write_text(text)
        path.chmod(mode)
        self.monkeypatch.setattr(museum.settings, "ENV_FILE", path)
        return self.push()


@pytest.fixture
def scene(museum, monkeypatch, tmp_path):
    museum.exhibition(1)
    made = Scene(museum, monkeypatch, tmp_path)
    made.write(*PRESSES)
    return made


def test_the_table_and_the_scenarios_are_the_same():
    assert len(ROWS) == len({what for what, _, _ in ROWS}) > 30
    assert {what for what, _, _ in ROWS} == SCENARIOS.keys()


@pytest.mark.parametrize(("what", "exit_code", "words"), ROWS, ids=[what for what, _, _ in ROWS])
def test_what_happens_when(scene, what, exit_code, words):
    code, lines = SCENARIOS[what](scene)
    assert code == int(exit_code), lines
    begins = re.compile(".*".join(re.escape(part.strip()) for part in words.split("…")), re.DOTALL)
    assert any(begins.match(line) for line in lines), lines


@scenario("an object that a stage reads is closed to us")
def _(scene):
    return scene.from_s3(lmnh_hist_data_1__csv=refused(403, "AccessDenied", "Access Denied."))


@scenario("it lies in Glacier")
def _(scene):
    more = "<StorageClass>GLACIER</StorageClass>"
    return scene.from_s3(lmnh_hist_data_1__csv=refused(403, "InvalidObjectState", "Not valid for its class", more))


@scenario("an object that no stage reads is closed or in Glacier")
def _(scene):
    return scene.from_s3(lmnh_hist_data_1__csv=(200, KIOSK), lmnh_video__mp4=refused(403, "AccessDenied", "No"))


@scenario("a download breaks off")
def _(scene):
    return scene.from_s3(lmnh_hist_data_1__csv=cut_off)


@scenario("temporary keys have run out")
def _(scene):
    return scene.from_s3(listing=refused(400, "ExpiredToken", "The provided token has expired."))


@scenario("the bucket lies in another region")
def _(scene):
    more = "<Endpoint>some-bucket.s3.eu-west-2.amazonaws.com</Endpoint>"
    return scene.from_s3(listing=refused(400, "PermanentRedirect", "Use the endpoint", more))


@scenario("a proxy answers with a page")
def _(scene):
    return scene.from_s3(listing=(200, b"<html><body>Log in</body></html>", {"Content-Type": "text/html"}))


@scenario("`--bucket s3://name/folder`")
def _(scene):
    return scene.push("--bucket", "s3://name/folder")


@scenario("an object is compressed")
def _(scene):
    scene.museum.write(KEY, gzip.compress(KIOSK))
    return scene.push()


@scenario("a spreadsheet took the seconds of all times")
def _(scene):
    scene.write(*(f"2024-03-05 10:{minute:02}:00,1,3," for minute in range(10)))
    scene.push()
    scene.write(*(f"2024-03-05 10:{minute:02},1,3," for minute in range(10)))
    return scene.push()


@scenario("a spreadsheet spoilt the times")
def _(scene):
    scene.push()
    scene.write(*(f"5 Mar 10:{minute},1,3," for minute in range(10)))
    return scene.push()


@scenario("a changed object has fewer presses")
def _(scene):
    scene.push()
    scene.write(*PRESSES[:9])
    return scene.push()


@scenario("two objects hold the same bytes")
def _(scene):
    scene.write(*PRESSES, key="lmnh_hist_data_2.csv")
    return scene.push()


@scenario("an object is named `lmnh_hist_data_2.CSV`")
def _(scene):
    scene.write(*PRESSES, key="lmnh_hist_data_2.CSV")
    return scene.push()


@scenario("dates have the month first")
def _(scene):
    scene.write("03/28/2024 10:00,1,3,", "03/01/2024 10:00,1,3,")
    return scene.push()


@scenario("a press is of the year 24")
def _(scene):
    scene.write(*PRESSES, "0024-03-05 10:00:00,1,3,")
    return scene.push()


@scenario("an exhibition names a field twice")
def _(scene):
    scene.museum.write("lmnh_exhibition_twice.json", exhibition_json(2)[:-1] + ', "FLOOR": "9"}')
    return scene.push()


@scenario("a name has a soft line break")
def _(scene):
    scene.museum.exhibition(1, EXHIBITION_NAME="Deep\x0bSea")
    return scene.push()


@scenario("a plain file has semicolons")
def _(scene):
    path = scene.tmp_path / "visits.csv"
    path.write_text("at;site;val;type\n")
    result = scene.museum.run("load", "--kiosk-csv", str(path), *scene.museum.database_flags)
    return result.exit_code, result.lines


@scenario("`rejects list --reason` has a slip")
def _(scene):
    scene.write("2024-03-05 10:00:00,1,9,")
    scene.push()
    point_at(scene.museum.database, scene.monkeypatch)
    code = etlkit_main(["rejects", "list", "--reason", "bad_vall"])
    return code, scene.museum.capsys.readouterr().err.splitlines()


@scenario("a role has `connection limit 0`")
def _(scene):
    return scene.as_role("alter role {role} connection limit 0")


@scenario("a role may not connect to the database")
def _(scene):
    return scene.as_role("revoke connect on database {database} from public")


@scenario("a web server listens at the port")
def _(scene):
    with answering(garbage) as port:
        return scene.push("--db-port", str(port))


@scenario("a `search_path` hides the tables")
def _(scene):
    return scene.as_role("alter role {role} set search_path = nowhere")


@scenario("the server ends the session during the extract")
def _(scene):
    def end(path):
        scene.as_owner(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'museum pipeline%' "
            "and datname = current_database()"
        )
        time.sleep(0.2)
        return inspect_file(path)

    scene.monkeypatch.setattr("museum.batch.judging.inspect_file", end)
    return scene.push()


@scenario("the tables are of another shape")
def _(scene):
    for name in ("review_tally", "incident_tally"):
        scene.as_owner(f"drop view {name} cascade")
    scene.as_owner("drop table review cascade; drop table incident cascade")
    scene.as_owner("create table review (review_id serial, at timestamp); create table incident (incident_id serial)")
    result = scene.museum.run("load", "--apply-schema", *scene.museum.database_flags)
    scene.as_owner("drop table review, incident")
    scene.as_owner((PROJECT_DIR / "schema.sql").read_text())
    return result.exit_code, [result.figures["error"]]


@scenario("the hourly counts were changed by hand")
def _(scene):
    scene.push()
    scene.as_owner("update review_hour set reviews = reviews + 1")
    said = scene.push()
    scene.as_owner("update review_hour set reviews = reviews - 1")
    return said


@scenario("a setting has a slip")
def _(scene):
    return scene.with_env("MUSEUM_REJECT_OUT_OF_HOUR=true\n")


@scenario("a line of `.env` is no setting")
def _(scene):
    return scene.with_env("'unfinished\n")


@scenario("others may read `.env`")
def _(scene):
    return scene.with_env("MUSEUM_TIMEZONE=Europe/London\n", mode=0o644)


@scenario("standard output is full")
def _(scene):
    point_at(scene.museum.database, scene.monkeypatch)
    command = [sys.executable, str(PROJECT_DIR / "pipeline.py"), "--skip-extract", "--push", "--json", "--data-dir",
               str(scene.museum.data_dir), "--log-file", str(scene.museum.log_file)]  # fmt: skip
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stderr.splitlines()

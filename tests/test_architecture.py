"""The walls of the house, read from the code itself."""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path

import pytest

PROJECT_DIR = Path(__file__).resolve().parent.parent
ROOT_STAGES = {path.stem for path in PROJECT_DIR.glob("*.py")}
SYSTEMS = {path.name for path in (PROJECT_DIR / "systems").glob("*/") if path.is_dir()}
MUSEUM = {"museum", "dashboard"}
KIT_MODULES = {
    "__init__", "__main__", "aws", "aws_secret", "command", "console", "copying", "database_url", "embedded", "errors",
    "locks", "logs", "postgres", "process", "rejects", "runs", "settings", "signals",
}  # fmt: skip
OUR_CODE = [
    path
    for folder in (".", "etlkit", "museum", "dashboard", "systems", "benchmarks")
    for path in sorted((PROJECT_DIR / folder).glob("*.py" if folder == "." else "**/*.py"))
    if not {".venv", "tests"} & set(path.parts)
]
WRITES = re.compile(
    r"\b(insert|update|delete|create|drop|alter|copy|truncate|lock|lock_hours|nextval|setval|pg_notify"
    r"|pg_terminate_backend|pg_advisory_\w+)\b"
)
SQL_FILES = sorted(path for path in PROJECT_DIR.glob("**/sql/**/*.sql") if ".venv" not in path.parts)


def imported_packages(path: Path) -> set[str]:
    """Return the first names of everything that a file imports, at whatever depth."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def relative(path: Path) -> str:
    return str(path.relative_to(PROJECT_DIR))


def imported_modules(path: Path) -> set[str]:
    """Return the full names of everything that a file imports, at whatever depth."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def museum_modules() -> dict[str, Path]:
    """Return the museum's modules and the root's scripts by their full names."""
    paths = [*PROJECT_DIR.glob("*.py"), *(PROJECT_DIR / "museum").glob("**/*.py")]
    return {".".join(path.relative_to(PROJECT_DIR).with_suffix("").parts): path for path in paths}


def test_there_is_code_to_look_at():
    assert {"extract", "transform", "load", "pipeline", "consumer"} <= ROOT_STAGES
    assert len(OUR_CODE) > 20
    assert len(SQL_FILES) > 30


@pytest.mark.parametrize("path", sorted((PROJECT_DIR / "etlkit").glob("**/*.py")), ids=relative)
def test_the_kit_imports_no_system_and_no_stage(path):
    assert not imported_packages(path) & (ROOT_STAGES | MUSEUM | SYSTEMS)


def test_a_system_imports_neither_another_nor_the_museum():
    for name in sorted(SYSTEMS):
        foreign = ROOT_STAGES | MUSEUM | (SYSTEMS - {name})
        for path in (PROJECT_DIR / "systems" / name).glob("**/*.py"):
            if ".venv" not in path.parts:
                assert not imported_packages(path) & foreign, relative(path)


@pytest.mark.parametrize(
    ("room", "above"),
    [
        ("museum", {"museum.batch", "museum.live", "museum.demo", "dashboard", *ROOT_STAGES}),
        ("museum.batch", {"museum.live", "museum.demo", "dashboard", *ROOT_STAGES}),
        ("museum.live", {"museum.batch", "museum.demo", "dashboard", *ROOT_STAGES}),
        ("museum.demo", {"museum.live", "dashboard", *ROOT_STAGES}),
    ],
)
def test_a_room_of_the_museum_imports_none_above_it(room, above):
    folder = PROJECT_DIR.joinpath(*room.split("."))
    for path in sorted(folder.glob("*.py")):
        if path.name != "demo.py":  # python -m museum.live.demo, a second door to museum.demo
            reached = {name for name in imported_modules(path) if name.startswith(tuple(f"{one}." for one in above))}
            assert not (reached | imported_modules(path) & above), relative(path)


def test_the_museum_s_modules_import_each_other_in_no_circle():
    modules = museum_modules()
    left = {name: imported_modules(path) & modules.keys() - {name} for name, path in modules.items()}
    while free := [name for name, needed in left.items() if not needed & left.keys()]:
        for name in free:
            del left[name]
    assert left == {}


def test_the_museum_stays_small():
    assert [name for name, path in museum_modules().items() if len(path.read_text().splitlines()) > 400] == []
    assert len(list((PROJECT_DIR / "sql").glob("**/*.sql"))) <= 90


def test_the_kit_stays_small():
    assert {path.stem for path in (PROJECT_DIR / "etlkit").glob("*.py")} == KIT_MODULES


@pytest.mark.parametrize("path", OUR_CODE, ids=relative)
def test_names_say_what_a_module_is(path):
    assert path.stem not in {"utils", "util", "helpers", "helper", "common", "core", "misc"}


@pytest.mark.parametrize("path", SQL_FILES, ids=relative)
def test_a_sql_file_says_what_it_does(path):
    text = path.read_text(encoding="utf-8")
    if path.name == "meta.sql":
        return
    lines = text.splitlines()
    code = "\n".join(line for line in lines if not line.startswith("--"))
    if WRITES.search(re.sub(r"'[^']*'", "", code)):
        assert lines[0].startswith("-- Fills: ")
        assert lines[1].startswith("-- Reads: ")
        assert lines[2].startswith("-- Twice is safe: ")
        assert "it only reads" not in text
    else:
        assert lines[0].startswith(("-- Reads: ", "-- Fills: nothing"))
    for clause in re.findall(r"on conflict[^\n]*", code):
        assert re.match(r"on conflict \(\w", clause), "on conflict names its columns"


@pytest.mark.parametrize("path", SQL_FILES, ids=relative)
def test_a_semicolon_ends_a_statement_and_a_line_and_stands_nowhere_else(path):
    text = path.read_text(encoding="utf-8")
    if path.name == "meta.sql":
        return
    for line in text.splitlines():
        if line.startswith("--"):
            assert not line.rstrip().endswith(";")
        else:
            assert ";" not in re.sub(r"'[^']*'", "", line).removesuffix(";")
    assert not text.rstrip().endswith(";"), "the last statement needs none"


def test_every_sql_file_is_run_by_some_code():
    code = "\n".join(path.read_text(encoding="utf-8") for path in OUR_CODE)
    unused = [relative(path) for path in SQL_FILES if path.stem not in code]
    assert unused == []


def test_no_python_builds_sql_from_text():
    for path in OUR_CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"execute", "copy_expert", "executemany"}
                and node.args
            ):
                assert not isinstance(node.args[0], (ast.JoinedStr, ast.BinOp)), f"{relative(path)}:{node.lineno}"


def test_every_variable_is_in_the_example_with_a_sentence():
    from museum.settings import EVERY_SETTING

    lines = (PROJECT_DIR / ".env.example").read_text(encoding="utf-8").splitlines()
    documented = {
        line.split("=")[0] for before, line in itertools.pairwise(lines) if before.startswith("# ") and "=" in line
    }
    wanted = {name.upper() for settings in EVERY_SETTING for name in settings.model_fields}
    assert wanted == documented


def test_every_error_class_is_explained_to_the_operator():
    import etlkit.errors

    classes = {name for name in vars(etlkit.errors) if name.endswith("Error")}
    explained = set(re.findall(r"`(\w+Error)`", (PROJECT_DIR / "docs" / "operations.md").read_text(encoding="utf-8")))
    assert classes == explained

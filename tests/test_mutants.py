"""The mutator of statements, and the reasons for which mutants of statements may live."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import sqlglot
from mutants.mutant import describe_change
from mutants.reasons import read_reasons
from mutants.statements import DIALECT, plain_sql, statement_mutants
from mutants.systems import PROJECT_DIR, SYSTEMS, guards, mutated_files
from mutants.uses import TRACING

STATEMENTS = [file for name in SYSTEMS for file in mutated_files(name) if file.endswith(".sql")]
UNKNOWN_TO_SQLGLOT = {"systems/people_hub/people_hub/sql/detail/fill_detail_due.sql"}  # make_interval(secs => ...)


def changes(statement):
    return [mutant.change for mutant in statement_mutants("a.sql", statement)]


@pytest.mark.parametrize(
    ("statement", "left_out"),
    [
        ("select 1 from t where a = 1", ["select 1 from t where true"]),
        ("delete from t where a\nand b", ["where true", "and true"]),
        ("delete from t where a or\nb and\nc", ["false or", "true and", "and c -> false", "-> true"]),
        ("delete from t where (%(a)s or\nb)\nand c", ["true", "(false or", "false)", "and true"]),
        ("delete from t where a between 1 and 2\nand (b, c) > (1, 2)", ["where true", "and true"]),
        ("delete from t where not exists (\nselect from s where s.a = t.a\n)", ["true", "where true"]),
        ("select 1 from t\njoin s on a = b\nand c = d", ["join s on true", "and true"]),
        ("select 1 from t\njoin s using (a, b)", ["-> join s using (a)", "-> join s using (b)"]),
        ("select 1 from t\nleft join s using (a)", ["left join s on true"]),
        ("select 1 from t\nleft join lateral (select 1) s on true", []),
        ("delete from t using s where s.a = t.a", ["using s where true"]),
        ("delete from t using (select b from s) s where true", []),
        ("insert into t select 1\non conflict (a) do nothing", ["-> "]),
        ("insert into t select 1\non conflict (a) do update set b = 1 where c\nreturning 1", ["-> ", "where true"]),
        ("select count(*) filter (where a), b from t\ngroup by b\nhaving c", ["(where true), b", "having true"]),
        ("select case when a then 1 when b and\nc then 2 end", ["when true then 1", "when true and", "true then 2"]),
        ("select distinct on (a) * from t", []),
        ("create index i on t (a)", []),
        ("create temporary table t (a text) on commit drop", []),
        ("update t set a = %(end)s where b <> %(case)s and\nc like 'd%%'", ["where true and", "true"]),
        ("select 1 from t -- where is it?", []),
        ("select coalesce(\na, b) from t", ["-> a)", "-> b)", "-> b, a)"]),
        ("select coalesce(a)", []),
        ("select coalesce(a, b) is not null", ["coalesce(a) is", "coalesce(b) is"]),
        ("select coalesce(f(a, b), c)", ["select coalesce(c)", "(c, f(a, b))", "select coalesce(f(a, b))"]),
        ("select 1 from t order by\na, b desc\nlimit 1", ["-> a ", "-> b desc ", "-> b desc, a"]),
        ("select row_number() over (order by a, b) from t order by c", ["(order by a)", "(order by b)", "by b, a)"]),
        ("merge into t using s on a when matched and b then delete when not matched then insert values (1)",
         ["matched and true"]),
        ("insert into t select 1 order by\na, b\non conflict (a) do nothing", ["-> a ", "-> b ", "-> b, a", "-> "]),
    ],
)  # fmt: skip
def test_each_clause_is_left_out_in_turn(statement, left_out):
    found = changes(statement)
    assert len(found) == len(left_out), found
    for change, expected in zip(found, left_out, strict=True):
        assert expected in change + " "


@pytest.mark.parametrize("file", STATEMENTS)
def test_each_mutant_of_a_statement_is_valid_and_has_a_name_of_its_own(file):
    text = (PROJECT_DIR / file).read_text(encoding="utf-8")
    mutants = list(statement_mutants(file, text))
    code = re.sub(r"--.*", "", text)
    assert len(mutants) >= len(re.findall(r"\b(?:where|having|on conflict)\b", code))
    assert len({mutant.change for mutant in mutants}) == len({mutant.text for mutant in mutants}) == len(mutants)
    for mutant in mutants:
        assert mutant.text.splitlines()[0] == text.splitlines()[0]
        if file not in UNKNOWN_TO_SQLGLOT:
            sqlglot.parse(plain_sql(mutant.text), read=DIALECT)


def test_a_change_is_named_by_its_lines_and_equal_ones_are_numbered():
    assert describe_change("a\n  b\n  c\n", "a\n  d\n") == "b c -> d"
    assert changes("select 1 where a\nunion\nselect 1 where a")[1] == "select 1 where a -> select 1 where true #2"


def test_each_reason_excuses_a_mutant_that_is_there():
    there = {
        (mutant.file, mutant.change)
        for file in STATEMENTS
        for mutant in statement_mutants(file, (PROJECT_DIR / file).read_text(encoding="utf-8"))
    }
    reasons = read_reasons()
    assert {(file, change) for file, change in reasons if file.endswith(".sql")} <= there
    assert all(reasons.values())


def test_each_guarded_file_is_judged_by_tests_that_are_there():
    for name, system in SYSTEMS.items():
        guarded = guards(name)
        assert all(any((PROJECT_DIR / file).match(pattern) for file in guarded) for pattern in system.guarded)
        for tests in guarded.values():
            assert tests
            assert all((PROJECT_DIR / system.folder / test).is_file() for test in tests)


def test_a_statement_is_noted_for_the_test_whose_process_reads_it(tmp_path):
    (tmp_path / "a.sql").write_text("select 1", encoding="utf-8")
    variables = {
        "PYTHONPATH": str(TRACING),
        "STATEMENT_TRACE": str(tmp_path / "trace"),
        "PYTEST_CURRENT_TEST": "tests/test_x.py::test_y[a b] (call)",
    }
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'open(\"a.sql\")'], check=True)"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, **variables}, check=True)
    assert (tmp_path / "trace").read_text(encoding="utf-8") == "tests/test_x.py::test_y[a b]\ta.sql\n"

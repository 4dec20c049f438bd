"""The API gateway: its paging, its oddities, and everything that can go wrong on the way to it."""

from __future__ import annotations

import pytest

from people_hub.sources import http_client, umapi


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch):
    monkeypatch.setattr(umapi, "PAGE_ROWS", 20)


def pages(rest, endpoint="DeptData"):
    return [call for call in rest.calls() if call["endpoint"] == endpoint]


def test_every_row_arrives_whatever_the_page_size(hub, rest, university, monkeypatch):
    for rows in (1, 2, 19, 20, 21, 39, 40, university.departments):
        rest.set_data(departments=university.umapi_departments()[:rows])
        result = hub.ingest("umapi_departments", "--allow-mass-delete", "100")
        assert (result.exit_code, result.stream["records_processed"]) == (0, rows), result.text
    assert len(hub.heads("umich_api/department")) == university.departments


def test_a_gateway_that_gives_fewer_rows_than_asked_for_is_read_to_its_end(hub, rest, university):
    rest.set_settings(most_rows=7)  # it ignores a count above that and falls back to its own
    result = hub.ingest("umapi_departments")
    assert result.counts == (university.departments, 0, 0, 0, 0)


def test_two_appointments_are_two_records_and_stay_two(hub, rest, university):
    rows = university.umapi_employees()
    assert hub.ingest("umapi_employees").counts == (len(rows), 0, 0, 0, 0)
    assert hub.ingest("umapi_employees").counts == (0, 0, len(rows), 0, 0)
    keys = {f"{row['EmplId']}:{row['EmplRcd']}" for row in rows}
    assert set(hub.heads("umich_api/user")) == keys
    assert any(key.endswith(":0") for key in keys)


def test_a_row_inserted_between_two_pages_is_no_loss(hub, rest, university):
    hub.ingest("umapi_departments")
    new = {**university.umapi_departments()[0], "DeptId": "000001"}
    rest.set_faults({"endpoint": "DeptData", "from": 1, "kind": "edit", "name": "departments", "at": 0, "insert": new})
    result = hub.ingest("umapi_departments")
    assert "error" not in result.stream, result.stream["error"]
    assert (result.exit_code, result.stream["records_deleted"], result.stream["records_failed"]) == (0, 0, 0)
    assert "moved while they were read" in result.stream["notes"][0]
    assert hub.ingest("umapi_departments").stream["records_created"] == 1


def test_a_page_that_is_empty_in_the_middle_is_no_end(hub, rest):
    rest.set_faults(
        {
            "endpoint": "DeptData",
            "from": 2,
            "kind": "status",
            "status": 200,
            "body": '{"DepartmentList": {"DeptData": []}}',
        }
    )
    result = hub.ingest("umapi_departments")
    assert (result.exit_code, "sends nothing" in result.stream["error"]) == (1, True)


def test_a_gateway_that_ignores_where_to_start_is_noticed(hub, rest, university):
    import json

    page = json.dumps({"DepartmentList": {"DeptData": university.umapi_departments()[:20]}})
    rest.set_faults({"endpoint": "DeptData", "from": 1, "times": 99, "kind": "status", "status": 200, "body": page})
    result = hub.ingest("umapi_departments")
    assert (result.exit_code, "the very first row" in result.stream["error"]) == (1, True)
    assert len(pages(rest)) == 2


def test_a_row_deleted_between_two_pages_makes_nobody_vanish(hub, rest, university):
    hub.ingest("umapi_departments")
    rest.set_faults({"endpoint": "DeptData", "from": 1, "kind": "edit", "name": "departments", "at": 3})
    first = hub.ingest("umapi_departments")
    assert (first.exit_code, first.stream["records_deleted"]) == (0, 0)
    assert len(hub.heads("umich_api/department")) == university.departments
    second = hub.ingest("umapi_departments")
    assert second.stream["records_deleted"] == 1


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "page"}, "sent no JSON but"),
        ({"kind": "truncate"}, "sent no JSON but"),
        ({"kind": "status", "status": 200, "body": "{}"}, "has no list DepartmentList.DeptData"),
        ({"kind": "status", "status": 200, "body": '{"DepartmentList": null}'}, "has no list DepartmentList.DeptData"),
        ({"kind": "status", "status": 200, "body": '{"DepartmentList": {"DeptData": null}}'}, "has no list"),
        ({"kind": "status", "status": 200, "body": '{"error": "quota"}'}, "has no list"),
        ({"kind": "status", "status": 200, "body": "[]"}, "has no list"),
        ({"kind": "status", "status": 200, "body": '{"DepartmentList": {"DeptData": [{"DeptId": NaN}]}}'}, "NaN"),
        ({"kind": "status", "status": 200, "body": '{"DepartmentList": {"DeptData": [{"x": 1e999}]}}'}, "out of range"),
        ({"kind": "status", "status": 403}, "answers 403"),
        ({"kind": "status", "status": 302, "headers": {"Location": "/elsewhere"}}, "answers 302"),
        ({"kind": "status", "status": 404}, "answers 404"),
        ({"kind": "status", "status": 500, "times": 99}, "answers 500"),
        ({"kind": "reset", "times": 99}, "broke off"),
    ],
)
@pytest.mark.parametrize("call", [1, 2])
def test_an_answer_that_is_none_fails_the_run_and_buries_nobody(hub, rest, fault, said, call):
    hub.ingest("umapi_departments")
    before = hub.bronze()
    hub.set(HTTP_ATTEMPTS="3")
    rest.set_faults({"endpoint": "DeptData", "from": call, **fault})
    result = hub.ingest("umapi_departments")
    assert result.exit_code == 1
    assert said in result.stream["error"]
    assert hub.bronze() == before
    assert hub.last_run()["status"] == "failed"
    rest.set_faults()
    assert hub.ingest("umapi_departments").counts[:2] == (0, 0)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 500, "times": 2},
        {"kind": "status", "status": 502, "times": 2},
        {"kind": "status", "status": 408},
        {"kind": "reset", "times": 2},
        {"kind": "drip", "seconds": 0.5},
        {"kind": "slow", "seconds": 0.3},
        {"kind": "expire"},
    ],
)
@pytest.mark.parametrize("call", [1, 3])
def test_what_passes_is_tried_again_and_nothing_is_lost_or_doubled(hub, rest, university, fault, call):
    rest.set_faults({"endpoint": "DeptData", "from": call, **fault})
    result = hub.ingest("umapi_departments")
    assert (result.exit_code, result.counts) == (0, (university.departments, 0, 0, 0, 0)), result.text


def test_an_answer_that_never_comes_is_given_up(hub, rest):
    hub.set(HTTP_TIMEOUT_SECONDS="0.3", HTTP_ATTEMPTS="2")
    rest.set_faults({"endpoint": "DeptData", "from": 1, "times": 9, "kind": "slow", "seconds": 1})
    result = hub.ingest("umapi_departments")
    assert result.exit_code == 1
    assert "broke off" in result.stream["error"]


def test_an_answer_that_drips_for_ever_is_given_up(hub, rest, monkeypatch):
    monkeypatch.setattr(http_client, "SLOWEST_ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(http_client, "_CHUNK", 64)
    hub.set(HTTP_ATTEMPTS="1")
    rest.set_faults({"endpoint": "DeptData", "from": 1, "kind": "drip", "seconds": 2})
    assert "has not sent all" in hub.ingest("umapi_departments").stream["error"]


def test_a_token_that_lives_shorter_than_the_run_is_renewed_before_it_ends(hub, rest, university):
    rest.set_settings(token_seconds=1)
    rest.set_faults({"endpoint": "DeptData", "from": 1, "times": 3, "kind": "slow", "seconds": 0.4})
    result = hub.ingest("umapi_departments")
    assert result.counts == (university.departments, 0, 0, 0, 0)
    tokens = pages(rest, "oauth")
    assert 2 <= len(tokens) <= len(pages(rest))
    assert all(call["status"] == 200 for call in pages(rest))


def test_a_token_refused_for_good_is_asked_for_twice_and_no_more(hub, rest):
    rest.set_faults({"endpoint": "DeptData", "from": 1, "times": 99, "kind": "expire"})
    result = hub.ingest("umapi_departments")
    assert result.exit_code == 1
    assert "does not take the token, nor a new one" in result.stream["error"]
    assert len(pages(rest, "oauth")) == 2
    assert hub.last_run()["status"] == "failed"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "status", "status": 401}, "refuses the login"),
        ({"kind": "page"}, "sent no token"),
        ({"kind": "status", "status": 200, "body": '{"token_type": "Bearer"}'}, "sent no token"),
        ({"kind": "status", "status": 500, "times": 99}, "answers 500"),
    ],
)
def test_without_a_token_nothing_is_asked(hub, rest, fault, said):
    hub.set(HTTP_ATTEMPTS="2")
    rest.set_faults({"endpoint": "oauth", "from": 1, **fault})
    result = hub.ingest("umapi_departments")
    assert result.exit_code == 1
    assert said in result.stream["error"]
    assert pages(rest) == []


def test_a_wrong_secret_is_refused_and_never_shown(hub, rest):
    hub.set(UM_CLIENT_SECRET="a wrong secret of ours")
    result = hub.ingest("umapi_departments")
    assert result.exit_code == 1
    log = "".join(path.read_text() for path in (hub.folder / "logs").iterdir())
    assert "a wrong secret of ours" not in result.text + log + str(hub.last_run())


@pytest.mark.parametrize("header", ["Retry-After", "X-RateLimit-Reset", None])
def test_too_many_calls_are_waited_out(hub, rest, university, monkeypatch, header):
    monkeypatch.setattr(http_client, "SHORTEST_LIMIT_WAIT", 0.3)
    headers = {header: "1"} if header else {}
    rest.set_faults({"endpoint": "DeptData", "from": 2, "kind": "status", "status": 429, "headers": headers})
    result = hub.ingest("umapi_departments")
    assert result.counts == (university.departments, 0, 0, 0, 0)
    times = [call["at"] for call in pages(rest)]
    assert times[2] - times[1] >= (1.0 if header else 0.3)


def test_calls_stop_before_the_limit_says_so(hub, rest, university):
    rest.set_settings(limit_calls=2, limit_seconds=1)
    result = hub.ingest("umapi_departments")
    assert result.counts == (university.departments, 0, 0, 0, 0)
    assert [call["status"] for call in pages(rest)].count(429) == 0


def test_the_environment_overrules_neither_token_nor_proxy(hub, tmp_path, university):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password netrcpw\n")
    netrc.chmod(0o600)
    hub.set(NETRC=str(netrc), http_proxy="http://127.0.0.1:9", REQUESTS_CA_BUNDLE=str(tmp_path / "missing.pem"))
    assert hub.ingest("umapi_departments").counts[0] == university.departments


def test_a_token_that_cannot_be_sent_is_not_shown(hub, rest):
    body = '{"access_token": "VERYSECRET\\nTOKEN", "expires_in": 3600}'
    rest.set_faults({"endpoint": "oauth", "from": 1, "times": 9, "kind": "status", "status": 200, "body": body})
    result = hub.ingest("umapi_departments")
    assert (result.exit_code, "VERYSECRET" in result.text + str(result.figures)) == (1, False)


@pytest.mark.parametrize("url", ["http://gateway.example.edu", "ftp://gateway.example.edu", "gateway", ""])
def test_secrets_travel_by_https_only(hub, url):
    hub.set(UM_BASE_URL=url or " ")
    result = hub.ingest("umapi_departments")
    assert result.exit_code == 2
    assert "UM_BASE_URL" in result.figures["error"]

"""TeamDynamix: whole arrays, the timestamp pattern, three ways to log in, and details fetched one by one in a quota."""

from __future__ import annotations

import time

import pytest

from people_hub.sample_sources import rest_server
from people_hub.sources import http_client, tdx

LOGINS = {
    "key": {"TDX_BEID": rest_server.BEID, "TDX_WEB_SERVICES_KEY": rest_server.WEB_SERVICES_KEY},
    "login": {"TDX_USERNAME": rest_server.USERNAME, "TDX_PASSWORD": rest_server.PASSWORD},
}


def calls(rest, endpoint):
    return [call for call in rest.calls() if call["endpoint"] == endpoint]


def renamed(rows, index, moment, name="renamed"):
    changed = [dict(row) for row in rows]
    changed[index] |= {"Name": name, "ModifiedDate": moment}
    return changed


@pytest.mark.parametrize("filters", [True, False], ids=["the server filters", "the server ignores the filter"])
def test_only_what_was_modified_since_is_brought_in_again(hub, rest, university, filters):
    rest.set_settings(filters_dates=filters)
    rows = university.tdx_accounts()
    assert hub.ingest("tdx_departments").counts == (university.departments, 0, 0, 0, 0)
    rest.set_data(accounts=renamed(rows, 5, "2026-03-01T12:00:00Z"))
    second = hub.ingest("tdx_departments")
    assert second.counts[:2] == (0, 1)
    assert second.stream["records_deleted"] == 0
    assert "ModifiedDateFrom=2026-01-28T11" in calls(rest, "accounts")[-1]["path"]
    third = hub.ingest("tdx_departments")
    assert third.counts[:2] == (0, 0)
    assert "ModifiedDateFrom=2026-03-01T11%3A50" in calls(rest, "accounts")[-1]["path"]


def test_an_incremental_listing_buries_nobody_and_a_full_one_does(hub, rest, university):
    rows = university.tdx_accounts()
    hub.ingest("tdx_departments")
    rest.set_data(accounts=rows[1:])
    assert hub.ingest("tdx_departments").stream["records_deleted"] == 0
    assert hub.ingest("tdx_departments", "--full-sync").stream["records_deleted"] == 1


def test_a_change_within_the_overlap_is_found_and_one_before_it_by_a_full_sync(hub, rest, university):
    rows = university.tdx_accounts()
    rows[0]["ModifiedDate"] = "2026-02-01T12:00:00Z"
    rest.set_data(accounts=rows)
    hub.ingest("tdx_departments")
    rest.set_data(accounts=renamed(rows, 3, "2026-02-01T11:55:00Z"))  # committed late, or a clock a little behind
    assert hub.ingest("tdx_departments").counts[:2] == (0, 1)
    rest.set_data(accounts=renamed(rows, 3, "2026-02-01T11:55:00Z", "again, long before"))
    rows[3] |= {"Name": "again, long before", "ModifiedDate": "2026-01-01T00:00:00Z"}
    rest.set_data(accounts=rows)
    assert hub.ingest("tdx_departments").counts[:2] == (0, 0)
    assert hub.ingest("tdx_departments", "--full-sync").counts[:2] == (0, 1)


def test_a_record_without_a_date_is_always_looked_at(hub, rest, university):
    rows = university.tdx_assets()
    rows[3]["ModifiedDate"] = None
    rest.set_settings(filters_dates=False)
    rest.set_data(assets=rows)
    hub.ingest("tdx_assets")
    rows[3]["Name"] = "renamed"
    rest.set_data(assets=rows)
    assert hub.ingest("tdx_assets").counts[:2] == (0, 1)


@pytest.mark.parametrize(
    "how",
    [("--dry-run",), ("--limit", "3"), "failed"],
)
def test_the_watermark_moves_with_a_whole_run_only(hub, rest, university, how):
    hub.ingest("tdx_departments")
    before = hub.query("select watermark from meta.stream_state")
    rows = renamed(university.tdx_accounts(), 40, "2026-03-01T12:00:00Z")
    rest.set_data(accounts=rows)
    if how == "failed":
        hub.query("alter table bronze.raw_entities add check (raw_data ->> 'Name' <> 'renamed') not valid")
        hub.query("drop view meta.stream_health; alter table meta.stream_state add check (false) not valid")
        assert hub.ingest("tdx_departments").exit_code == 1
    else:
        hub.ingest("tdx_departments", *how)
    assert hub.query("select watermark from meta.stream_state") == before


def test_people_are_searched_by_200_departments_at_most_and_come_once(hub, rest, university, monkeypatch):
    monkeypatch.setattr(tdx, "MOST_ACCOUNTS", 20)
    twice = university.tdx_people()
    rest.set_data(people=[*twice, dict(twice[0])])
    result = hub.ingest("tdx_users")
    assert (result.stream["records_created"], result.stream["records_failed"]) == (len(twice), 0)
    assert len(calls(rest, "people/search")) == 3
    assert hub.ingest("tdx_users").counts[:2] == (0, 0)


def test_a_person_who_is_not_active_any_more_is_buried(hub, rest, university):
    hub.ingest("tdx_users")
    rows = university.tdx_people()
    rows[4]["IsActive"] = False
    rest.set_data(people=rows)
    assert hub.ingest("tdx_users").counts == (0, 0, len(rows) - 1, 1, 0)


@pytest.mark.database
def test_people_of_a_department_that_was_closed_are_still_searched_for(hub, rest, university):
    hub.ingest("tdx_departments")
    hub.ingest("tdx_users")
    accounts = university.tdx_accounts()
    accounts[0]["IsActive"] = False
    rest.set_data(accounts=accounts)
    assert hub.ingest("tdx_users").stream["records_deleted"] == 0
    assert hub.ingest("tdx_departments", "--full-sync").stream["records_deleted"] == 1
    assert hub.ingest("tdx_users").stream["records_deleted"] == 0


@pytest.mark.parametrize("field", ["DefaultAccountID", "Title", "WorkPhone", "ReportsToUID"])
def test_every_field_of_a_person_counts(hub, rest, university, field):
    rows = university.tdx_people()
    hub.ingest("tdx_users")
    rows[3][field] = 41 if field == "DefaultAccountID" else "changed"
    rest.set_data(people=rows)
    assert hub.ingest("tdx_users").counts[:2] == (0, 1)


@pytest.mark.parametrize("login", [*LOGINS, "token"])
def test_every_way_to_log_in_works(hub, rest, university, login):
    hub.unset(*LOGINS["key"])
    if login == "token":
        import requests

        given = {"UserName": rest_server.USERNAME, "Password": rest_server.PASSWORD}
        hub.set(TDX_API_TOKEN=requests.post(f"{rest.url}/tdx/auth", json=given, timeout=5).text)
    else:
        hub.set(**LOGINS[login])
    assert hub.ingest("tdx_departments").counts[0] == university.departments


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ({"TDX_WEB_SERVICES_KEY": "wrong"}, 1, "refuses the login"),
        ({"TDX_WEB_SERVICES_KEY": ""}, 2, "TDX_API_TOKEN, expected a login"),
        ({"TDX_APP_ID": "x"}, 2, "TDX_APP_ID"),
    ],
)
def test_a_wrong_login_is_told(hub, settings, code, said):
    hub.set(**settings)
    result = hub.ingest("tdx_assets")
    assert result.exit_code == code
    assert said in str(result.figures)


def test_a_login_page_instead_of_a_token_is_told(hub, rest):
    rest.set_faults({"endpoint": "loginadmin", "from": 1, "kind": "page"})
    result = hub.ingest("tdx_assets")
    assert (result.exit_code, "/auth/loginadmin gives no JWT" in result.stream["error"]) == (1, True)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "page"}, "sent no list but"),
        ({"kind": "truncate"}, "breaks off or is no JSON"),
        ({"kind": "status", "status": 200, "body": "{}"}, "sent no list but"),
        ({"kind": "status", "status": 200, "body": "null"}, "sent no list but"),
        ({"kind": "status", "status": 200, "body": ""}, "sent no list but"),
        ({"kind": "status", "status": 200, "body": "[] []"}, "is no JSON"),
        ({"kind": "status", "status": 403}, "answers 403"),
        ({"kind": "status", "status": 401, "times": 9}, "does not take the token"),
        ({"kind": "status", "status": 503, "times": 99}, "answers 503"),
        ({"kind": "reset", "times": 99}, "broke off"),
    ],
)
def test_an_answer_that_is_no_list_fails_the_run_and_buries_nobody(hub, rest, fault, said):
    hub.ingest("tdx_users")
    hub.set(HTTP_ATTEMPTS="2")
    rest.set_faults({"endpoint": "people/search", "from": 1, **fault})
    result = hub.ingest("tdx_users")
    assert result.exit_code == 1
    assert said in result.stream["error"]
    assert hub.tombstones() == 0


def test_an_error_page_for_the_departments_makes_nobody_vanish(hub, rest):
    hub.ingest("tdx_users")
    rest.set_faults({"endpoint": "accounts", "from": 1, "kind": "status", "status": 200, "body": "[]"})
    assert hub.ingest("tdx_users").exit_code == 1
    assert hub.tombstones() == 0


def test_a_broken_record_costs_no_other(hub, rest, university):
    rest.set_data(accounts=[*university.tdx_accounts(), "text", {"ID": None}, {"ID": 9, "Name": "a\x00b\ud800"}])
    result = hub.ingest("tdx_departments")
    assert (result.exit_code, result.stream["records_created"], result.stream["records_failed"]) == (
        3, university.departments + 1, 2,
    )  # fmt: skip


@pytest.mark.database
def test_details_are_fetched_once_and_again_when_the_listing_changed(hub, rest, university):
    hub.ingest("tdx_users")
    first = hub.enrich("tdx_users")
    assert first.counts == (university.people, 0, 0, 0, 0)
    assert hub.enrich("tdx_users").stream["records_processed"] == 0
    rows = university.tdx_people()
    rows[4]["Title"] = "Dean"
    rest.set_data(people=rows)
    hub.ingest("tdx_users")
    again = hub.enrich("tdx_users")
    assert again.counts == (0, 1, 0, 0, 0)
    assert hub.enrich("tdx_users").stream["records_processed"] == 0
    ((detail,),) = hub.query(
        "select raw_data from bronze.raw_entities where entity_type = 'user_detail' order by raw_id desc limit 1"
    )
    assert detail == rows[4]  # whole, and nothing put into it


def test_ingest_and_enrich_do_not_disturb_each_other(hub, rest, university):
    for name in ("tdx_departments", "tdx_assets", "tdx_users"):
        hub.ingest(name)
    for name in ("tdx_accounts", "tdx_assets", "tdx_users"):
        hub.enrich(name)
    before = hub.bronze()
    for name in ("tdx_departments", "tdx_assets", "tdx_users"):
        assert hub.ingest(name, "--full-sync").counts[:2] == (0, 0)
    for name in ("tdx_accounts", "tdx_assets", "tdx_users"):
        assert hub.enrich(name, "--full-sync").counts[:2] == (0, 0)
    assert hub.bronze() == before


def test_a_detail_that_did_not_change_is_not_asked_for_for_ever(hub, rest, university):
    hub.ingest("tdx_departments")
    hub.enrich("tdx_accounts")
    rows = renamed(university.tdx_accounts(), 5, "2026-03-01T12:00:00Z")
    rest.set_data(accounts=rows)
    hub.ingest("tdx_departments")
    rest.set_data(accounts=university.tdx_accounts())  # renamed back before the detail was asked for
    assert hub.enrich("tdx_accounts").counts == (0, 0, 1, 0, 0)
    assert hub.enrich("tdx_accounts").stream["records_processed"] == 0


@pytest.mark.database
def test_old_details_are_renewed_spread_over_time(hub, rest, university):
    hub.ingest("tdx_users")
    hub.enrich("tdx_users")
    hub.query("update bronze.detail_fetches set fetched_at = fetched_at - interval '22 days'")
    due = hub.enrich("tdx_users").stream["records_processed"]
    assert 0 < due < university.people
    hub.query("update bronze.detail_fetches set fetched_at = fetched_at - interval '31 days'")
    assert hub.enrich("tdx_users").stream["records_processed"] == university.people


@pytest.mark.database
def test_a_listed_record_that_is_gone_by_then_is_kept_and_tried_again_another_day(hub, rest, university):
    hub.ingest("tdx_users")
    rest.set_data(people=university.tdx_people()[1:])
    result = hub.enrich("tdx_users")
    assert (result.exit_code, result.counts) == (3, (university.people - 1, 0, 0, 0, 1))
    assert [reasons for _source, _position, reasons in hub.rejects()] == [["not_found"]]
    assert hub.enrich("tdx_users").stream["records_processed"] == 0  # it waits a day, and is never the first
    hub.query("update meta.rejected_records set last_seen = last_seen - interval '25 hours'")
    again = hub.enrich("tdx_users")
    assert (again.exit_code, again.stream["records_failed"], again.stream["new_rejects"]) == (0, 1, 0)
    hub.ingest("tdx_users")
    assert hub.enrich("tdx_users").stream["records_processed"] == 0
    assert hub.rejects() == []


@pytest.mark.database
def test_the_detail_of_who_was_buried_is_buried_too(hub, rest, university):
    hub.ingest("tdx_users")
    hub.enrich("tdx_users")
    rest.set_data(people=university.tdx_people()[1:])
    hub.ingest("tdx_users")
    assert hub.enrich("tdx_users").stream["records_deleted"] == 1
    assert hub.enrich("tdx_users").stream["records_deleted"] == 0
    rest.set_data(people=university.tdx_people())
    hub.ingest("tdx_users")
    assert hub.enrich("tdx_users").stream["records_created"] == 1


def test_the_quota_is_kept(hub, rest, monkeypatch):
    rest.set_settings(limit_calls=20, limit_seconds=1)
    hub.ingest("tdx_departments")
    rest.calls(forget=True)
    hub.enrich("tdx_accounts")
    found = calls(rest, "accounts/detail")
    assert [call["status"] for call in found] == [200] * 45
    times = [call["at"] for call in found]
    for first in range(len(times) - 20):
        assert times[first + 20] - times[first] > 0.5


def test_too_many_calls_by_somebody_else_are_waited_out(hub, rest, monkeypatch):
    monkeypatch.setattr(http_client, "SHORTEST_LIMIT_WAIT", 0.2)
    hub.ingest("tdx_departments")
    rest.set_faults({"endpoint": "accounts/detail", "from": 3, "times": 2, "kind": "status", "status": 429})
    assert hub.enrich("tdx_accounts").counts[0] == 45


def test_an_enrichment_goes_on_where_it_was_stopped(hub, rest, university):
    hub.ingest("tdx_users")
    rest.set_faults({"endpoint": "people/detail", "from": 60, "times": 99, "kind": "status", "status": 403})
    assert hub.enrich("tdx_users").exit_code == 1
    assert len(hub.heads("tdx/user_detail")) == 59  # what had come by then is stored
    rest.set_faults()
    assert len(hub.rejects()) == tdx.FAILURES_IN_A_ROW - 1
    assert hub.enrich("tdx_users", "--full-sync").counts[0] == university.people - 59


def test_one_detail_that_is_never_answered_costs_no_other(hub, rest, university):
    hub.set(HTTP_ATTEMPTS="2")
    hub.ingest("tdx_users")
    rest.set_faults({"endpoint": "people/detail", "from": 4, "times": 2, "kind": "status", "status": 500})
    result = hub.enrich("tdx_users")
    assert (result.exit_code, result.counts) == (3, (university.people - 1, 0, 0, 0, 1))
    assert hub.rejects()[0][2][0].startswith("not_answered: ")
    rest.set_faults()
    assert hub.enrich("tdx_users", "--full-sync").stream["records_created"] == 1
    assert hub.rejects() == []


def test_details_that_all_fail_end_the_run(hub, rest):
    hub.set(HTTP_ATTEMPTS="1")
    hub.ingest("tdx_users")
    rest.set_faults({"endpoint": "people/detail", "from": 1, "times": 999, "kind": "status", "status": 500})
    assert hub.enrich("tdx_users").exit_code == 1
    assert len([call for call in rest.calls() if call["endpoint"] == "people/detail"]) == tdx.FAILURES_IN_A_ROW


def test_a_detail_of_somebody_else_is_rejected(hub, rest, university):
    rows = university.tdx_accounts()
    hub.ingest("tdx_departments")
    rest.set_faults(
        {"endpoint": "accounts/detail", "from": 3, "kind": "status", "status": 200, "body": '{"ID": 999, "Name": "x"}'}
    )
    result = hub.enrich("tdx_accounts")
    assert (result.exit_code, result.counts[0]) == (3, len(rows) - 1)
    assert hub.rejects()[0][2] == ["other_key: 999"]


def test_a_limit_costs_no_call_more(hub, rest):
    hub.ingest("tdx_users")
    assert hub.enrich("tdx_users", "--limit", "2").stream["records_created"] == 2
    assert len([call for call in rest.calls() if call["endpoint"] == "people/detail"]) == 2


def test_the_time_budget_holds_when_every_detail_is_gone(hub, rest):
    hub.ingest("tdx_users")
    rest.set_data(people=[])
    rest.set_faults({"endpoint": "people/detail", "from": 1, "times": 999, "kind": "slow", "seconds": 0.2})
    started = time.monotonic()
    assert hub.enrich("tdx_users", "--max-minutes", "0.02").stream["listing_complete"] is False
    assert time.monotonic() - started < 6


def test_a_date_of_the_future_does_not_hide_what_changes_until_then(hub, rest, university):
    rows = renamed(university.tdx_accounts(), 1, "2099-12-31T00:00:00Z")
    rest.set_data(accounts=rows)
    first = hub.ingest("tdx_departments")
    assert "modified in the future" in first.stream["notes"][0]
    ((watermark,),) = hub.query("select watermark ->> 'modified' from meta.stream_state")
    assert watermark < "2090"
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    rest.set_data(accounts=renamed(rows, 7, later))
    assert hub.ingest("tdx_departments").stream["records_updated"] == 1


@pytest.mark.parametrize("number", ["41", 41.0])
def test_a_department_whose_number_has_another_form_is_searched_all_the_same(hub, rest, university, number):
    hub.ingest("tdx_users")
    rows = university.tdx_accounts()
    rows[1]["ID"] = number
    rest.set_data(accounts=rows)
    assert hub.ingest("tdx_users").counts[3] == 0


def test_odd_numbers_cost_one_record_and_a_bom_none(hub, rest):
    body = '[{"ID": 1, "Big": 123456789012345678901234567890}, {"ID": 2, "Huge": 1e999}, {"ID": 3, "Half": 0.5}]'
    rest.set_faults({"endpoint": "assets/search", "from": 1, "kind": "status", "status": 200, "body": f"\ufeff{body}"})
    result = hub.ingest("tdx_assets")
    assert result.counts == (2, 0, 0, 0, 1)
    assert hub.rejects()[0][1:] == ("2", ["number_out_of_range"])
    ((raw,),) = hub.query("select raw from meta.rejected_records")
    assert bytes(raw) == b'{"ID":2,"Huge":Infinity}'


def test_a_time_budget_ends_a_run_in_order(hub, rest, university):
    hub.ingest("tdx_users")
    rest.set_faults({"endpoint": "people/detail", "from": 5, "kind": "slow", "seconds": 1.2})
    started = time.monotonic()
    result = hub.enrich("tdx_users", "--max-minutes", "0.02")
    assert (result.exit_code, result.stream["listing_complete"]) == (0, False)
    assert result.stream["records_created"] == 5
    assert time.monotonic() - started < 10
    assert hub.enrich("tdx_users").counts[0] == university.people - 5


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "page"},
        {"kind": "truncate"},
        {"kind": "status", "status": 200, "body": "[]"},
        {"kind": "status", "status": 400},
        {"kind": "status", "status": 403},
    ],
)
def test_a_detail_that_is_no_record_costs_no_other(hub, rest, university, fault):
    hub.ingest("tdx_departments")
    rest.set_faults({"endpoint": "accounts/detail", "from": 1, **fault})
    result = hub.enrich("tdx_accounts")
    assert (result.exit_code, result.counts) == (3, (university.departments - 1, 0, 0, 0, 1))
    rest.set_faults()
    assert hub.enrich("tdx_accounts", "--full-sync").counts[0] == 1


def test_a_department_without_a_number_costs_no_other_its_people(hub, rest, university):
    assert hub.ingest("tdx_users").exit_code == 0
    people = len(hub.heads("tdx/user"))
    rest.set_data(accounts=[*university.tdx_accounts(), {"ID": None}, {"ID": "x"}], people=university.tdx_people()[1:])
    result = hub.ingest("tdx_users")
    assert (result.exit_code, result.counts) == (0, (0, 0, people - 1, 0, 0))
    assert "the people of 2 departments without a number" in result.stream["notes"][0]
    assert hub.last_run()["metadata"]["full_listing"] is False

"""The fixture, used like in a test of a client."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mock_capi import MockCapi, MockCapiError


def create_org(mock: MockCapi, name: str) -> str:
    org = mock.request("POST", "/v3/organizations", {"name": name}, token=mock.token())
    return str(org["guid"])


@pytest.mark.parametrize("test", [1, 2])
def test_each_test_has_a_mock_without_the_changes_of_others(mock_capi: MockCapi, test: int) -> None:
    assert mock_capi.state()["organizations"] == []
    assert mock_capi.faults() == []
    create_org(mock_capi, "mine")
    mock_capi.set_faults({"fault": "answer", "path": "/v3/spaces", "status": 503})


def test_requests_need_a_token(mock_capi: MockCapi) -> None:
    with pytest.raises(MockCapiError, match="401"):
        mock_capi.request("GET", "/v3/organizations")
    orgs = mock_capi.request("GET", "/v3/organizations", token=mock_capi.token())
    assert orgs["resources"] == []
    with pytest.raises(MockCapiError, match="401"):
        mock_capi.token("admin", "wrong")


def test_a_fault_is_applied_the_given_number_of_times(mock_capi: MockCapi) -> None:
    fault = {"fault": "answer", "method": "POST", "path": "/v3/organizations", "status": 503}
    mock_capi.set_faults({**fault, "times": 1})
    with pytest.raises(MockCapiError, match="503"):
        create_org(mock_capi, "mine")
    create_org(mock_capi, "mine")
    assert mock_capi.faults()[0]["matched"] == 2


def test_a_stub_replaces_the_response_of_the_fake(mock_capi: MockCapi) -> None:
    mock_capi.set_stubs({"path": "/v3/apps/:guid", "status": 502, "body": "<h1>Bad</h1>"})
    with pytest.raises(MockCapiError, match="502: <h1>Bad</h1>"):
        mock_capi.request("GET", "/v3/apps/x", token=mock_capi.token())


def test_time_passes_without_waiting(mock_capi: MockCapi) -> None:
    mock_capi.set_times(job="1h")
    guid = create_org(mock_capi, "mine")
    mock_capi.request("DELETE", f"/v3/organizations/{guid}", token=mock_capi.token())
    assert len(mock_capi.state()["organizations"]) == 1
    mock_capi.advance(timedelta(hours=1))
    assert mock_capi.state()["organizations"] == []


def test_requests_are_verified_with_near_misses(mock_capi: MockCapi) -> None:
    create_org(mock_capi, "mine")
    request = {"method": "POST", "path": "/v3/organizations", "body": {"name": "mine"}}
    mock_capi.verify(request, count=1)
    with pytest.raises(AssertionError, match="near_misses"):
        mock_capi.verify({**request, "body": {"name": "yours"}})
    sent = mock_capi.requests(method="POST", path="/v3/organizations")
    assert [request["status"] for request in sent] == [201]
    assert mock_capi.stats()["by_route"]["POST /v3/organizations"] == 1


def test_expired_tokens_are_refused(mock_capi: MockCapi) -> None:
    token = mock_capi.token()
    mock_capi.expire_tokens()
    with pytest.raises(MockCapiError, match="401"):
        mock_capi.request("GET", "/v3/organizations", token=token)


@pytest.fixture(scope="session")
def mock_capi_args() -> list[str]:
    return ["--add-user", "dev:secret", "--apps-domain", "python.test"]


def test_flags_come_from_a_fixture(mock_capi: MockCapi) -> None:
    mock_capi.token("dev", "secret")
    domains = mock_capi.state()["domains"]
    assert "python.test" in [domain["name"] for domain in domains]

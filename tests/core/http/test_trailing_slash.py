"""A slash too many or too few at the end of a path, on every route of the document."""

import re

import httpx
import pytest
from fastapi import FastAPI

from tests.conftest import MakeKey

ID = "11111111-1111-4111-8111-111111111111"


async def test_slash_at_the_end_makes_no_difference_on_any_route(app: FastAPI, anonymous: httpx.AsyncClient) -> None:
    wrong = []
    for template, methods in app.openapi()["paths"].items():
        path = re.sub(r"\{\w+\}", ID, template)
        other = path.removesuffix("/") or "/" if path.endswith("/") else f"{path}/"
        for method in methods:
            expected = (await anonymous.request(method, path)).status_code
            status = (await anonymous.request(method, other)).status_code
            wrong += [f"{method} {other}: {status} instead of {expected}"] if status != expected else []
    assert wrong == []


async def test_body_query_and_credential_reach_the_route(make_key: MakeKey) -> None:
    client = (await make_key()).client
    created = await client.post("/v1/profiles/", json={"name": "Work", "user_id": "ann"})
    assert created.status_code == 201
    found = (await client.get("/v1/profiles/", params={"user_id": "ann", "limit": 1})).json()
    assert len(found["results"]) == 1
    profile = await client.get(f"/v1/profiles/{created.json()['id']}/")
    assert profile.json() == created.json()
    added = await client.post("/v3/memories/add", json={"messages": "I like tea", "user_id": "ann", "infer": False})
    assert added.status_code == 200, added.text
    assert (await client.get("/v1/ping")).status_code == 200


async def test_metrics_count_the_request_under_its_route(anonymous: httpx.AsyncClient) -> None:
    await anonymous.get("/v1/health/")
    lines = (await anonymous.get("/metrics")).text.splitlines()
    assert not [line for line in lines if "/v1/health/" in line]


async def test_empty_id_never_means_all_memories(make_key: MakeKey) -> None:
    client = (await make_key()).client
    body = {"messages": "I like tea", "user_id": "ann", "infer": False}
    await client.post("/v3/memories/add/", json=body)
    assert (await client.delete("/v1/memories//", params={"user_id": "ann"})).status_code == 400
    found = (await client.post("/v3/memories/", json={"filters": {"user_id": "ann"}})).json()
    assert [memory["memory"] for memory in found["results"]] == ["I like tea"]


@pytest.mark.parametrize("path", ["/nothing", "/nothing/", "/v1/profiles//", "/v1/profiles/a/b/c/"])
async def test_path_without_a_route_is_still_404(anonymous: httpx.AsyncClient, path: str) -> None:
    answer = await anonymous.get(path)
    assert answer.status_code == 404
    assert answer.json()["detail"] == f"No route matches {path}. See /docs for the API reference."


async def test_unsupported_method_names_the_path_of_the_route(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.put("/v1/profiles/")
    assert answer.status_code == 405
    assert answer.json()["detail"] == "/v1/profiles does not support PUT. See /docs for the API reference."

"""Own routes refuse unknown fields and query parameters. The routes of other products' clients ignore them."""

import json
import uuid
from collections.abc import Iterator

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field, JsonValue

from app.core.http.strict_requests import RequestBody, StrictRoute, fields_of, models_in
from app.core.text.nearest_name import nearest_name
from app.main import ROUTERS
from tests.conftest import KeyHolder

JSON = {"Content-Type": "application/json"}
OTHER_APIS = ("anthropic", "graphql", "mcp", "mem0", "openai")
LENIENT = (
    *(f"app.gateways.{name}." for name in OTHER_APIS),
    "app.api_keys.oauth.routes",
    "app.identity.local.",
    "app.web.",
)
STRICT = ("app.gateways.mem0.memories.archive_routes", "/oauth/consent")
"""Routes of our own beside those of mem0's API."""


def routes_of(router: APIRouter) -> Iterator[APIRoute]:
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        else:
            inner = getattr(route, "original_router", None)
            assert isinstance(inner, APIRouter), route
            yield from routes_of(inner)


ROUTES = [route for router in ROUTERS for route in routes_of(router)]
OWN = [
    route
    for route in ROUTES
    if route.endpoint.__module__ in STRICT or route.path in STRICT or not route.endpoint.__module__.startswith(LENIENT)
]


def all_models(annotation: object, found: set[type[BaseModel]]) -> set[type[BaseModel]]:
    for model in set(models_in(annotation)) - found:
        found.add(model)
        for _, field in fields_of(model):
            all_models(field.annotation, found)
    return found


def test_the_walk_finds_every_route(app: FastAPI) -> None:
    served = {(method.upper(), path) for path, item in app.openapi()["paths"].items() for method in item}
    walked = {
        (method, route.path_format) for route in ROUTES for method in route.methods or () if route.include_in_schema
    }
    assert walked == served
    assert len(OWN) > 40


def test_own_routes_refuse_unknown_query_parameters() -> None:
    assert [route.path for route in OWN if not isinstance(route, StrictRoute)] == []
    assert [route.path for route in ROUTES if route not in OWN and isinstance(route, StrictRoute)] == []


def test_models_in_bodies_of_own_routes_refuse_unknown_fields() -> None:
    bodies = [route.body_field.field_info.annotation for route in OWN if route.body_field]
    models: set[type[BaseModel]] = set()
    for body in bodies:
        all_models(body, models)
    assert len(models) > 15
    assert [model.__name__ for model in models if model.model_config.get("extra") != "forbid"] == []


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        (
            "/v1/sessions",
            {"user_id": "ana", "privacyMode": "incognito"},
            "Unknown field `privacyMode`. Did you mean `privacy_mode`?",
        ),
        ("/v1/chat", {"mesage": "Hello"}, "Unknown field `mesage`. Did you mean `message`?"),
        (
            "/v1/profiles/{id}/copy",
            {"to_profile_id": str(uuid.uuid4()), "x": 1},
            "Unknown field `x`. Known: `to_profile_id`.",
        ),
        (
            "/v1/api-keys",
            {"name": "a", "\u2028\n" + "x" * 100: 1},
            f"Unknown field `??{'x' * 58}`. Known: `expires_at`, `name`, `scopes`.",
        ),
    ],
    ids=["camel case", "misspelt", "nothing near", "unprintable"],
)
async def test_unknown_field_is_refused_with_the_nearest_one(
    client: httpx.AsyncClient, path: str, body: dict[str, object], detail: str
) -> None:
    refused = await client.post(path.replace("{id}", str(uuid.uuid4())), content=json.dumps(body), headers=JSON)
    assert (refused.status_code, refused.json()["detail"]) == (422, detail)
    assert (refused.json()["code"], set(refused.json())) == ("invalid_request", {"detail", "code", "request_id"})


async def test_misspelt_privacy_mode_creates_no_session(client: httpx.AsyncClient) -> None:
    await client.post("/v1/sessions", json={"user_id": "ana", "privacyMode": "incognito"})
    listed = await client.get("/v1/sessions", params={"user_id": "ana"})
    assert listed.json()["results"] == []


async def test_unknown_query_parameter_is_refused_with_the_nearest_one(client: httpx.AsyncClient) -> None:
    refused = await client.get("/v1/sessions", params={"userId": "ana", "limit": 5})
    assert (refused.status_code, refused.json()["detail"]) == (
        422,
        "Unknown query parameter `userId`. Did you mean `user_id`?",
    )
    removed = await client.delete(f"/v1/profiles/{uuid.uuid4()}", params={"force": "true"})
    assert (removed.status_code, removed.json()["detail"]) == (422, "Unknown query parameter `force`. Leave it out.")


async def test_credential_is_checked_before_query_parameters(
    anonymous: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    assert (await anonymous.get("/v1/sessions", params={"userId": "ana"})).status_code == 401
    assert (await client.get("/v1/sessions", params={"user_id": "ana"})).status_code == 200, "nothing stays behind"


async def test_routes_of_other_clients_ignore_unknown_names(key_holder: KeyHolder) -> None:
    body = {"messages": "Tea", "user_id": "ana", "infer": False, "customFlag": 1}
    added = await key_holder.client.post("/v3/memories/add/", json=body, params={"source": "cli"})
    assert added.status_code == 200, added.text


class Inner(RequestBody):
    number_of_days: int = 1


class Outer(RequestBody):
    rules: list[Inner] = Field(default_factory=list)
    either: Inner | dict[str, JsonValue] | None = None


async def test_unknown_field_of_a_nested_object_is_named_with_its_place(
    extendable_app: FastAPI, app_client: httpx.AsyncClient
) -> None:
    @extendable_app.post("/nested")
    async def nested(body: Outer) -> None: ...

    refused = await app_client.post("/nested", json={"rules": [{}, {"numberOfDay": 2}]})
    assert refused.json()["detail"] == "Unknown field `rules.1.numberOfDay`. Did you mean `rules.1.number_of_days`?"
    refused = await app_client.post("/nested", json={"rule": []})
    assert refused.json()["detail"] == "Unknown field `rule`. Did you mean `rules`?"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("privacyMode", "privacy_mode"), ("PRIVACY-MODE", "privacy_mode"), ("privacy", "privacy_mode"), ("zzz", None)],
)
def test_nearest_name(name: str, nearest: str | None) -> None:
    assert nearest_name(name, ["title", "privacy_mode", "user_id"]) == nearest

"""Calls every route with every kind of credential and compares the status with the access table."""

import json
import uuid

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.resources import Resources
from app.identity.local.security.keys import load_or_create_keys
from app.settings import Settings
from tests.access_table import OK, TABLE, Rule
from tests.access_world import Builder, Credential, World, expected


@pytest_asyncio.fixture(scope="session")
async def builder(admin_engine: AsyncEngine, resources: Resources, settings: Settings) -> Builder:
    keys = load_or_create_keys(settings.data_dir / "identity")
    return Builder(admin_engine, resources.key_pepper, keys, f"{settings.base_url}/auth/v1")


def test_access_table_lists_every_route(app: FastAPI) -> None:
    served = {(method.upper(), path) for path, item in app.openapi()["paths"].items() for method in item}
    assert served == set(TABLE)


@pytest.mark.parametrize(("method", "path"), TABLE, ids=lambda part: part)
async def test_access_matches_the_table(method: str, path: str, builder: Builder, anonymous: httpx.AsyncClient) -> None:
    rule = TABLE[method, path]
    wrong = []
    # Requests that change nothing share a world, because building one takes longer than many requests.
    world = await (builder.shared() if method == "GET" else builder.build())
    for place, asking in enumerate(world.credentials):
        status, answer = await send_request(anonymous, method, path, rule, world, world.credentials[place])
        wanted = expected(rule, asking, f"{path}{rule.query}{json.dumps(rule.body)}")
        if not (status == wanted or (wanted == OK and (status < 300 or status in rule.also))):
            wrong.append(f"{asking.name}: {wanted} expected, got {status} {answer[:200]}")
        if rule.spends and status < 300:
            world = await builder.build()
    assert wrong == []


async def send_request(
    client: httpx.AsyncClient, method: str, path: str, rule: Rule, world: World, asking: Credential
) -> tuple[int, str]:
    for name, value in rule.fills:
        path = path.replace(f"{{{name}}}", value)
    url = fill_in(f"{path}{rule.query}", world)
    body = None if rule.body is None else json.loads(fill_in(json.dumps(rule.body), world))
    response = await client.request(method, url, json=body, headers=asking.headers)
    return response.status_code, response.text


def fill_in(template: str, world: World) -> str:
    for name, value in {**world.names, "fresh": uuid.uuid4().hex}.items():
        template = template.replace(f"{{{name}}}", value)
    return template

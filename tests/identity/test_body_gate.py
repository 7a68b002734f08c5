"""The body of a request costs nothing before its credential and its limits are checked, and little after."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.core.http.body_limits import MAX_BYTES_WITHOUT_CALLER, MAX_VALUES
from app.core.resources import Resources
from app.main import create_app
from tests.conftest import PASSWORD, MakeKey, SignUp, open_client
from tests.core.test_rate_limit import RecordingCounters, limits_of

ADD = "/v3/memories/add/"
JSON = {"Content-Type": "application/json"}
SIGN_INS = ["/v1/auth/login", "/auth/v1/token?grant_type=password"]


class Body:
    """A body that tells whether the server asked for it."""

    def __init__(self) -> None:
        self.asked = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.asked = True
        yield b"{}"


def add_body(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "I like tea"}], "user_id": "ana", "infer": False, **fields}


async def test_no_route_with_a_credential_receives_a_body_without_one(app: FastAPI) -> None:
    routes = [
        (method, path.format_map({"entity_type": "user"} | {name: "x" for name in names_in(path)}))
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
        if "requestBody" in operation and operation.get("security")
    ]
    assert len(routes) > 30
    async with open_client(app, "nonsense") as client:
        for method, path in routes:
            body = Body()
            answer = await client.request(method, path, content=body, headers=JSON)
            assert (answer.status_code, body.asked) == (401, False), (method, path)


def names_in(path: str) -> list[str]:
    return [part.partition("}")[0] for part in path.split("{")[1:]]


async def test_body_of_a_caller_over_its_limit_is_not_received(resources: Resources, make_key: MakeKey) -> None:
    app = create_app(replace(resources, limits=limits_of(user=1)))
    async with open_client(app, (await make_key()).key) as client:
        assert (await client.post(ADD, json=add_body())).status_code == 200
        body = Body()
        assert (await client.post(ADD, content=body, headers=JSON)).status_code == 429
        assert not body.asked


async def test_caller_is_resolved_and_counted_once(resources: Resources, make_key: MakeKey) -> None:
    counted: list[str] = []
    app = create_app(replace(resources, limits=limits_of(RecordingCounters(counted))))
    holder = await make_key()
    async with open_client(app, holder.key) as client:
        assert (await client.post(ADD, json=add_body())).status_code == 200
    assert len([key for key in counted if key.startswith("user:")]) == 1


async def test_account_is_resolved_and_counted_once(resources: Resources, sign_up: SignUp) -> None:
    """For routes that concern no project."""
    counted: list[str] = []
    app = create_app(replace(resources, limits=limits_of(RecordingCounters(counted))))
    async with open_client(app, (await sign_up()).tokens["access_token"]) as client:
        assert (await client.patch("/v1/auth/me", json={"metadata": {"colour": "blue"}})).status_code == 200
    assert len([key for key in counted if key.startswith("user:")]) == 1


@pytest.mark.parametrize("path", SIGN_INS)
async def test_body_without_a_credential_must_be_small(anonymous: httpx.AsyncClient, path: str) -> None:
    fields = {"email": "ana@example.com", "password": PASSWORD}
    content = json.dumps(fields).encode()
    fits = await anonymous.post(path, content=content.ljust(MAX_BYTES_WITHOUT_CALLER), headers=JSON)
    assert fits.status_code in (400, 401), fits.text
    large = await anonymous.post(path, content=content.ljust(MAX_BYTES_WITHOUT_CALLER + 1), headers=JSON)
    assert large.status_code == 413
    assert "65,536 bytes" in large.text
    many = await anonymous.post(path, content=b"[" + b"1," * 2000 + b"1]", headers=JSON)
    assert many.status_code == 413
    assert "1,000 JSON values" in many.text


@pytest.mark.parametrize("path", SIGN_INS)
async def test_bodies_without_a_credential_are_counted_by_address_before_they_are_received(
    resources: Resources, path: str
) -> None:
    app = create_app(replace(resources, limits=limits_of(user=2)))
    async with open_client(app) as client:
        for _ in range(2):
            assert (await client.post(path, content=b"{}", headers=JSON)).status_code in (400, 422)
        body = Body()
        refused = await client.post(path, content=body, headers=JSON)
    assert (refused.status_code, body.asked) == (429, False)
    assert int(refused.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    "body",
    [
        '{"messages": [' + "1," * 20_000 + "1]}",
        '{"messages": [' + "{}," * 20_000 + "{}]}",
        '{"metadata": {' + '"a":1,' * 20_000 + '"b":1}}',
        '{"metadata": [' + '"\\\\","\\"[",' * 20_000 + "1]}",
        "[" * 100_000,
    ],
    ids=["numbers", "objects", "names", "texts", "depth"],
)
async def test_body_with_many_values_is_refused_before_it_is_parsed(client: httpx.AsyncClient, body: str) -> None:
    answer = await client.post(ADD, content=body.encode(), headers=JSON)
    assert answer.status_code == 413, answer.text
    assert answer.json()["code"] == "too_large"
    assert answer.json()["detail"].startswith("The request body has more than 10,000 JSON values.")


async def test_commas_and_brackets_in_texts_are_not_values(client: httpx.AsyncClient) -> None:
    text = 'a,b[c]{d} \\ "e", ' * 5000
    assert text.count(",") + text.count("[") > MAX_VALUES
    answer = await client.post(ADD, json=add_body(messages=[{"role": "user", "content": text}]))
    assert answer.status_code == 200, answer.text


async def test_body_in_pieces_is_counted_as_a_whole(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"messages": ['
        for _ in range(11):
            yield b"1," * 1000
        yield b"1]}"

    assert (await client.post(ADD, content=pieces(), headers=JSON)).status_code == 413


class HeldBody:
    """A valid body that is sent in two parts. The second follows when the test releases it."""

    def __init__(self, fields: dict[str, Any], size: int) -> None:
        self._content = json.dumps(fields).encode().ljust(size)
        self.begun = asyncio.Event()
        self.released = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content[:-1]
        self.begun.set()
        await self.released.wait()
        yield self._content[-1:]


async def test_bodies_at_the_same_time_are_bounded_in_total_and_per_account(
    resources: Resources, make_key: MakeKey, sign_up: SignUp
) -> None:
    app = create_app(replace(resources, config=replace(resources.config, body_bytes_at_once=1_000_000)))
    keys, other = [(await make_key()).key for _ in range(2)], (await sign_up()).tokens["access_token"]
    async with (
        open_client(app, keys[0]) as client,
        open_client(app, keys[1]) as same,
        open_client(app, other) as neighbour,
    ):
        held = HeldBody(add_body(), 400_000)
        first = asyncio.create_task(same.post(ADD, content=held, headers=JSON))
        await held.begun.wait()
        large = json.dumps(add_body()).encode().ljust(200_000)
        body = Body()
        refused = await client.post(ADD, content=body, headers={**JSON, "Content-Length": "200000"})
        assert (refused.status_code, refused.json()["code"], body.asked) == (503, "unavailable", False)
        assert refused.headers["Retry-After"] == "1"
        in_pieces = [large[:100_000], large[100_000:]]
        assert (await client.post(ADD, content=iterate(in_pieces), headers=JSON)).status_code == 503
        assert (await client.post(ADD, json=add_body())).status_code == 200, "small bodies still fit"
        assert (await neighbour.post(ADD, content=large, headers=JSON)).status_code == 200
        held.released.set()
        assert (await first).status_code == 200
        for _ in range(5):
            assert (await client.post(ADD, content=large, headers=JSON)).status_code == 200, (
                "what is answered counts no more"
            )


async def iterate(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.mark.parametrize("path", SIGN_INS)
async def test_bodies_without_a_credential_at_the_same_time_are_bounded_per_address(
    resources: Resources, path: str
) -> None:
    app = create_app(replace(resources, config=replace(resources.config, body_bytes_at_once=100_000)))
    async with open_client(app) as client:
        held = HeldBody({}, 40_000)
        first = asyncio.create_task(client.post(path, content=held, headers=JSON))
        await held.begun.wait()
        refused = await client.post(path, content=b"{}".ljust(20_000), headers=JSON)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        held.released.set()
        assert (await first).status_code in (400, 422)
        assert (await client.post(path, content=b"{}".ljust(20_000), headers=JSON)).status_code in (400, 422)

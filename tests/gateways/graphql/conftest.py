"""A client of /graphql over HTTP on loopback."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest_asyncio

from tests.conftest import KeyHolder

Json = dict[str, Any]


@dataclass(frozen=True)
class GraphqlClient:
    http: httpx.AsyncClient

    async def post(self, query: str, /, **variables: object) -> httpx.Response:
        return await self.http.post("/graphql", json={"query": query, "variables": variables})

    async def use(self, query: str, /, **variables: object) -> Json:
        """The data of a query that must succeed."""
        response = await self.post(query, **variables)
        answer: Json = response.json()
        assert (response.status_code, answer.get("errors")) == (200, None), answer
        data: Json = answer["data"]
        return data

    async def refusal(self, query: str, /, **variables: object) -> Json:
        """The extensions and the message of the error of a query that must fail as a whole, or in its only field."""
        response = await self.post(query, **variables)
        (error,) = response.json()["errors"]
        assert error["extensions"]["request_id"] == response.headers["X-Request-ID"]
        assert response.status_code == (200 if error.get("path") else error["extensions"]["status"])
        return {**error["extensions"], "message": error["message"]}


@pytest_asyncio.fixture
async def graphql(app_url: str, key_holder: KeyHolder) -> AsyncIterator[GraphqlClient]:
    headers = {"Authorization": f"Bearer {key_holder.key}"}
    async with httpx.AsyncClient(base_url=app_url, headers=headers, timeout=30) as client:
        yield GraphqlClient(client)

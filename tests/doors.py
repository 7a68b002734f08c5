"""The APIs through which a person can talk, for the tests of privacy that every one of them must pass.

A new one adds a row to `DOORS`: how a message is sent through it. The privacy table (tests/gateways/test_doors.py) and
the incognito scan (tests/e2e/test_incognito.py) then include it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import openai.types.responses


@dataclass(frozen=True)
class Place:
    """Where a message is sent, and for whom. `user_id` is None with the token of a person."""

    url: str
    credential: str
    user_id: str | None = None


@dataclass(frozen=True)
class Door:
    say: Callable[[Place, str, str], Awaitable[str]]
    """Sends a message in a privacy mode, and returns the answer."""
    keeps_transcript: bool
    """Whether the messages become part of a session."""
    streamed: bool = False


def _options(place: Place) -> dict[str, Any]:
    return {"base_url": f"{place.url}/v1", "api_key": place.credential, "max_retries": 0, "timeout": 30}


async def _chat(place: Place, content: str, mode: str) -> str:
    body = {"message": content, "privacy_mode": mode, "user_id": place.user_id}
    headers = {"Authorization": f"Bearer {place.credential}"}
    async with httpx.AsyncClient(base_url=place.url, headers=headers, timeout=30) as client:
        response = await client.post("/v1/chat", json=body)
        assert response.status_code == 200, response.text
        return str(response.json()["message"]["content"])


def _mode(mode: str) -> dict[str, Any]:
    """OpenAI's own word for incognito is `store: false`."""
    return {"store": False} if mode == "incognito" else {"metadata": {"privacy_mode": mode}}


async def _completion(place: Place, content: str, mode: str) -> str:
    async with openai.AsyncOpenAI(**_options(place)) as client:
        answer = await client.chat.completions.create(
            model="any",
            messages=[{"role": "user", "content": content}],
            user=place.user_id or openai.omit,
            **_mode(mode),
        )
    return answer.choices[0].message.content or ""


async def _streamed_completion(place: Place, content: str, mode: str) -> str:
    async with openai.AsyncOpenAI(**_options(place)) as client:
        chunks = await client.chat.completions.create(
            model="any",
            messages=[{"role": "user", "content": content}],
            stream=True,
            user=place.user_id or openai.omit,
            **_mode(mode),
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])


async def _response(place: Place, content: str, mode: str) -> str:
    async with openai.AsyncOpenAI(**_options(place)) as client:
        request = {"model": "any", "input": content, "user": place.user_id or openai.omit, **_mode(mode)}
        response: openai.types.responses.Response = await client.responses.create(**request)
        return response.output_text


async def _graphql(place: Place, content: str, mode: str) -> str:
    query = "mutation Say($input: SendMessageInput!) { send_message(input: $input) { message { content } } }"
    values = {"message": content, "privacy_mode": mode, "user_id": place.user_id}
    headers = {"Authorization": f"Bearer {place.credential}"}
    async with httpx.AsyncClient(base_url=place.url, headers=headers, timeout=30) as client:
        response = await client.post("/graphql", json={"query": query, "variables": {"input": values}})
        assert response.status_code == 200, response.text
        return str(response.json()["data"]["send_message"]["message"]["content"])


DOORS = {
    "chat": Door(_chat, keeps_transcript=True),
    "graphql": Door(_graphql, keeps_transcript=True),
    "openai": Door(_completion, keeps_transcript=False),
    "openai-responses": Door(_response, keeps_transcript=True),
    "openai-streamed": Door(_streamed_completion, keeps_transcript=False, streamed=True),
}

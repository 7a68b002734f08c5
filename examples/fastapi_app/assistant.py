"""A FastAPI application whose users have a memory. The application holds one API key; its users never see it.

Run it with an API key, see ../README.md. `.venv` contains fastapi, uvicorn and httpx; elsewhere install them with pip.

    .venv/bin/uvicorn --app-dir examples/fastapi_app assistant:api --port 8001

Then, in another terminal:

    curl 127.0.0.1:8001/chat -H 'X-User: anna' --json '{"text": "I moved to Lisbon in May."}'
    curl 127.0.0.1:8001/memories -H 'X-User: anna'
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from pydantic import BaseModel


@asynccontextmanager
async def lifespan(api: FastAPI) -> AsyncIterator[None]:
    """One client for the whole application, so that connections are reused."""
    async with httpx.AsyncClient(
        base_url=os.environ.get("KEEPSAKE_URL", "http://127.0.0.1:8000"),
        headers={"Authorization": f"Bearer {os.environ['KEEPSAKE_API_KEY']}"},
        timeout=60,
    ) as keepsake:
        api.state.keepsake = keepsake
        yield


api = FastAPI(title="Assistant", lifespan=lifespan)


class Memory:
    """What the server remembers about one user. The user_id separates this application's users from each other."""

    def __init__(self, request: Request, user: Annotated[str, Header(alias="X-User")]) -> None:
        # A real application takes the user from its own session, never from a header that the client chooses.
        self._keepsake: httpx.AsyncClient = request.app.state.keepsake
        self._user = user

    async def chat(self, text: str) -> dict[str, Any]:
        return await self._post("/v1/chat", {"message": text, "user_id": self._user})

    async def texts(self) -> list[str]:
        page = await self._post("/v3/memories/", {"filters": {"user_id": self._user}})
        return [row["memory"] for row in page["results"]]

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = await self._keepsake.post(path, json=body)
        if response.is_error:
            raise HTTPException(502, response.json()["detail"])
        answer: dict[str, Any] = response.json()
        return answer


UsersMemory = Annotated[Memory, Depends()]


class Message(BaseModel):
    text: str


@api.post("/chat")
async def chat(message: Message, memory: UsersMemory) -> dict[str, object]:
    turn = await memory.chat(message.text)
    return {"reply": turn["message"]["content"], "recalled": [row["memory"] for row in turn["recalled"]]}


@api.get("/memories")
async def memories(memory: UsersMemory) -> list[str]:
    return await memory.texts()

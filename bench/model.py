"""A model on loopback: `python -m bench.model` prints its address and serves until it is stopped.

A chat answers with ten words, or with as many words as `max_tokens` allows if the last message contains `at length`. A
request for JSON is answered without facts.
"""

import asyncio
import json
import socket
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

WORDS = 10
WORD_SECONDS = 0.005


def chunk(content: str) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None if content else "stop"}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


async def read_body(receive: Receive) -> dict[str, Any]:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    request: dict[str, Any] = json.loads(body) if body else {}
    return request


async def respond(scope: Scope, receive: Receive, send: Send) -> None:
    del scope
    request = await read_body(receive)
    streamed = bool(request.get("stream"))
    kind = b"text/event-stream" if streamed else b"application/json"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    if not streamed:
        choice = {"index": 0, "message": {"role": "assistant", "content": '{"memory": []}'}, "finish_reason": "stop"}
        answer = {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
        return
    limit = request.get("max_completion_tokens") or request.get("max_tokens") or WORDS
    for _ in range(limit if "at length" in request["messages"][-1]["content"] else WORDS):
        await asyncio.sleep(WORD_SECONDS)
        await send({"type": "http.response.body", "body": chunk("word "), "more_body": True})
    await send({"type": "http.response.body", "body": chunk("") + b"data: [DONE]\n\n"})


def main() -> None:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(respond, log_config=None, lifespan="off", access_log=False)
    asyncio.run(uvicorn.Server(config).serve([listener]))


if __name__ == "__main__":
    main()

"""A model server on loopback that speaks OpenAI's API and does what the test says.

    with ModelServer() as server:                  # or the fixture `model_server` of tests/conftest.py
        server.chat(Says("Good", " morning"), Fails(500))      # the next two chat requests, then the default again
        server.extraction(Facts("User likes tea"))             # the next request for JSON, which the extractor makes
        server.always(Randomly(0.05, Fails(500), Says("Hi")))  # the default for chat from here on
        server.embedding(Hangs())                              # the default for embeddings; None is vectors again
        server.key, server.model = "sk-…", "large"             # what embeddings require, server.dimensions long
        OpenAIModel(Connection(base_url=server.url), model="any")
        server.requests[-1].body, .headers, .path              # everything it was sent
        server.abandoned                                       # how many answers a client left before their end
        server.sent_text(secret)                               # whether any request held this text

Endpoints: /v1/chat/completions (streamed and not), /v1/embeddings, /v1/models, Gemini's :batchEmbedContents and
Ollama's /api/embed. It runs in a thread of its own, so it
goes on serving while a test's event loop is busy, and serves any number of clients at once.

For load from a process of its own: `python -m tests.model_server` prints its address and says twenty words, 50 ms each,
with 5 % errors, until it is interrupted.

Behaviours: Says, Facts, Raw (any text: malformed JSON, fenced JSON), Refuses, Fails, Hangs, Drops, Randomly, Held,
Decides (a function of the request), Sends (any bytes, once or without end).
"""

import asyncio
import contextlib
import hashlib
import json
import random
import socket
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import uvicorn
from starlette.types import Message, Receive, Scope, Send

from tests.embedding_formats import EmbeddingFormat, EmbeddingRequest, format_of


@dataclass(frozen=True, slots=True, init=False)
class Says:
    """An answer, token by token, with a pause before each."""

    tokens: tuple[str, ...]
    delay: float = 0.0
    usage: bool = True
    finished: bool = True

    def __init__(self, *tokens: str, delay: float = 0.0, usage: bool = True, finished: bool = True) -> None:
        for name, value in {"tokens": tokens, "delay": delay, "usage": usage, "finished": finished}.items():
            object.__setattr__(self, name, value)


def Raw(text: str) -> Says:
    """Any text as the whole answer, for example JSON that is none."""
    return Says(text)


def Facts(*texts: str, attributed_to: str = "user", fenced: bool = False) -> Says:
    """An extraction in the form mem0's prompt asks for."""
    memory = [{"id": str(number), "text": text, "attributed_to": attributed_to} for number, text in enumerate(texts)]
    answer = json.dumps({"memory": memory}, ensure_ascii=False)
    return Says(f"```json\n{answer}\n```" if fenced else answer)


def Verdicts(*verdicts: tuple[int, int, str]) -> Says:
    """What new facts mean for older memories: the numbers of both, and a word."""
    entries = [{"new": new, "old": old, "verdict": word} for new, old, word in verdicts]
    return Says(json.dumps({"verdicts": entries}))


def Summary(*sentences: tuple[str, list[int]], nothing: Sequence[int] = ()) -> Says:
    """A summary of episodes: sentences, and the numbers of the episodes that each was made from."""
    entries = [{"text": text, "from": numbers} for text, numbers in sentences]
    return Says(json.dumps({"sentences": entries, "nothing": list(nothing)}, ensure_ascii=False))


@dataclass(frozen=True, slots=True)
class Refuses:
    """The model refuses to answer."""

    words: str = "I cannot help with that."


@dataclass(frozen=True, slots=True)
class Fails:
    status: int
    retry_after: str | None = None
    error: dict[str, Any] = field(default_factory=lambda: {"message": "made to fail", "type": "test", "code": None})


@dataclass(frozen=True, slots=True)
class Hangs:
    """Sends `after` first when streamed, then nothing until the client disconnects."""

    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drops:
    """Closes the connection at once, or in mid-stream after some tokens."""

    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Randomly:
    """Behaves as `sometimes` in a share of requests, else as `otherwise`. The sequence is the same in every run."""

    share: float
    sometimes: "Behaviour"
    otherwise: "Behaviour"


@dataclass(frozen=True, slots=True)
class Held:
    """Waits until the test releases it, then behaves as `then`."""

    until: threading.Event
    then: "Behaviour"


@dataclass(frozen=True, slots=True)
class Sends:
    """Any bytes under any content type, again and again until the client disconnects if `endless`."""

    body: bytes
    kind: str = "application/json"
    endless: bool = False


@dataclass(frozen=True, slots=True)
class Decides:
    """Chooses a behaviour for each request."""

    choose: "Callable[[Sent], Behaviour]"


Behaviour = Says | Refuses | Fails | Hangs | Drops | Randomly | Held | Sends | Decides


@dataclass(frozen=True, slots=True)
class Sent:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def is_extraction(self) -> bool:
        return "response_format" in self.body

    @property
    def is_sorting(self) -> bool:
        """Asks for the categories of memories that were written before."""
        return self._begins("Sort memories into categories. These are")

    @property
    def is_user_profile(self) -> bool:
        """Asks for somebody's user profile: a job of whichever test switched these on."""
        return self._begins("Fill in this JSON schema")

    @property
    def is_comparison(self) -> bool:
        """Asks what new facts mean for older memories, or which memories say the same."""
        return self._begins("Compare new statements with older ones.") or self._begins("Decide for each numbered pair")

    @property
    def is_summary(self) -> bool:
        """Asks for a summary of long-unused episodes."""
        return self._begins("Summarize old messages of")

    @property
    def is_of_a_job(self) -> bool:
        return self.is_sorting or self.is_user_profile or self.is_comparison or self.is_summary

    def _begins(self, words: str) -> bool:
        messages = self.body.get("messages", [])
        return bool(messages) and str(messages[0].get("content", "")).startswith(words)


class ModelServer:
    DIMENSIONS = 8

    def __init__(self) -> None:
        self.requests: list[Sent] = []
        self.abandoned = 0
        self._next: dict[bool, deque[Behaviour]] = {False: deque(), True: deque()}
        self._verdicts: deque[Behaviour] = deque()
        self._summaries: deque[Behaviour] = deque()
        self._default: dict[bool, Behaviour] = {False: Says("Hello", " there", "."), True: Facts()}
        self._random = random.Random(7)
        self.dimensions = self.DIMENSIONS
        self.key: str | None = None
        self.model: str | None = None
        self._embedding: Behaviour | None = None
        # Without an explicit TCP protocol asyncio leaves Nagle's algorithm on, and every response takes 40 ms.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.host = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.url = f"{self.host}/v1"
        config = uvicorn.Config(
            self._serve,
            interface="asgi3",
            log_config=None,
            lifespan="off",
            ws="none",
            http="h11",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve([self._socket])), daemon=True)

    # ------------------------------------------------------------ what tests call

    def chat(self, *behaviours: Behaviour) -> None:
        self._next[False].extend(behaviours)

    def extraction(self, *behaviours: Behaviour) -> None:
        self._next[True].extend(behaviours)

    def verdicts(self, *behaviours: Behaviour) -> None:
        self._verdicts.extend(behaviours)

    def summaries(self, *behaviours: Behaviour) -> None:
        self._summaries.extend(behaviours)

    def always(self, behaviour: Behaviour, *, extraction: bool = False) -> None:
        self._default[extraction] = behaviour

    def embedding(self, behaviour: Behaviour | None) -> None:
        """The default for embeddings from here on. None answers with vectors."""
        self._embedding = behaviour

    def forget(self) -> None:
        """Resets the server, for a fixture that keeps one server for many tests."""
        self.dimensions, self.key, self.model, self._embedding = self.DIMENSIONS, None, None, None
        self.requests.clear()
        self.abandoned = 0
        for queue in (*self._next.values(), self._verdicts, self._summaries):
            queue.clear()
        self._default = {False: Says("Hello", " there", "."), True: Facts()}
        self._random = random.Random(7)

    @property
    def embedded(self) -> list[str]:
        """Every text that was sent to be embedded."""
        sent = [(format_of(each.path), each) for each in self.requests]
        return [text for wire, each in sent if wire for text in wire.read(each.path, each.headers, each.body).texts]

    @property
    def conversations(self) -> list[dict[str, Any]]:
        """The bodies of the chat requests alone."""
        chats = [sent for sent in self.requests if sent.path.endswith("/completions")]
        return [sent.body for sent in chats if not (sent.is_extraction or sent.is_of_a_job)]

    @property
    def comparisons(self) -> list[dict[str, Any]]:
        return [sent.body for sent in self.requests if sent.is_comparison]

    @property
    def summarized(self) -> list[dict[str, Any]]:
        return [sent.body for sent in self.requests if sent.is_summary]

    @property
    def user_profiles(self) -> list[dict[str, Any]]:
        return [sent.body for sent in self.requests if sent.is_user_profile]

    @property
    def extractions(self) -> list[dict[str, Any]]:
        return [sent.body for sent in self.requests if sent.path.endswith("/completions") and sent.is_extraction]

    def sent_text(self, text: str) -> bool:
        return any(text in json.dumps(sent.body, ensure_ascii=False) for sent in self.requests)

    def __enter__(self) -> "ModelServer":
        self._socket.listen()  # Connections are queued from here on, even before the thread accepts them.
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._socket.close()

    # ------------------------------------------------------------ serving

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read(receive)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        sent = Sent(scope["path"], headers, json.loads(body) if body else {})
        self.requests.append(sent)
        if sent.path.endswith("/models"):
            await answer_json(send, {"object": "list", "data": [{"id": "any", "object": "model"}]})
        elif wire := format_of(sent.path):
            await self._embed(wire, sent, receive, send)
        else:
            await self._complete(self._choose(sent), sent, receive, send)

    def _choose(self, sent: Sent) -> Behaviour:
        queue = self._verdicts if sent.is_comparison else self._next[sent.is_extraction]
        queue = self._summaries if sent.is_summary else queue
        default = Verdicts() if sent.is_comparison else self._default[sent.is_extraction]
        chosen = queue.popleft() if queue else default
        while isinstance(chosen, Randomly | Decides):
            if isinstance(chosen, Decides):
                chosen = chosen.choose(sent)
            else:
                chosen = chosen.sometimes if self._random.random() < chosen.share else chosen.otherwise
        return chosen

    async def _embed(self, wire: EmbeddingFormat, sent: Sent, receive: Receive, send: Send) -> None:
        request = wire.read(sent.path, sent.headers, sent.body)
        chosen = self._choose_for_texts(request, sent)
        if isinstance(chosen, Hangs):
            await until_gone(receive)
        elif isinstance(chosen, Fails):
            status, body = wire.error(chosen.status, chosen.error)
            await answer_json(send, body, status, chosen.retry_after)
        else:
            await answer_json(send, wire.answer([vector(text, self.dimensions) for text in request.texts]))

    def _choose_for_texts(self, request: EmbeddingRequest, sent: Sent) -> Behaviour | None:
        chosen = self._next[False].popleft() if self._next[False] else self._embedding
        if isinstance(chosen, Decides):
            chosen = chosen.choose(sent)
        if self.key is not None and request.key != self.key:
            return Fails(401)
        if self.model is not None and request.model != self.model:
            return Fails(404, error={"message": f'model "{request.model}" not found', "type": "test", "code": None})
        return chosen

    async def _complete(self, chosen: Behaviour, sent: Sent, receive: Receive, send: Send) -> None:
        streamed = bool(sent.body.get("stream"))
        while isinstance(chosen, Held):
            await asyncio.sleep(0.005)
            chosen = chosen.then if chosen.until.is_set() else chosen
        if isinstance(chosen, Fails):
            await answer_json(send, {"error": chosen.error}, chosen.status, chosen.retry_after)
        elif isinstance(chosen, Hangs | Drops):
            await self._break_off(chosen, sent, receive, send)
        elif isinstance(chosen, Sends):
            await send_bytes(chosen, receive, send)
        elif streamed:
            await self._stream(chosen, sent, receive, send)
        else:
            await answer_json(send, completion(chosen))

    async def _break_off(self, chosen: Hangs | Drops, sent: Sent, receive: Receive, send: Send) -> None:
        streamed = bool(sent.body.get("stream"))
        if streamed and chosen.after:
            await start(send, "text/event-stream")
            for token in chosen.after:
                await send_event(send, chunk({"content": token}))
        if isinstance(chosen, Hangs):
            await until_gone(receive)
            self._count_abandoned(sent)
        elif not (streamed and chosen.after):
            # The announced length exceeds the body: uvicorn closes the connection, and the client sees a cut response.
            await start(send, "application/json", length=1000)

    def _count_abandoned(self, sent: Sent) -> None:
        """Requests of an earlier test do not count: the server notices their end only after `forget`."""
        self.abandoned += any(each is sent for each in self.requests)

    async def _stream(self, chosen: Behaviour, sent: Sent, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(until_gone(receive))
        await start(send, "text/event-stream")
        try:
            async for event in events(chosen, sent):
                if gone.done():
                    self._count_abandoned(sent)
                    return
                await send_event(send, event)
            await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await gone


async def send_bytes(chosen: Sends, receive: Receive, send: Send) -> None:
    gone = asyncio.create_task(until_gone(receive))
    await start(send, chosen.kind)
    while chosen.endless and not gone.done():
        await send({"type": "http.response.body", "body": chosen.body, "more_body": True})
        await asyncio.sleep(0.01)
    await send({"type": "http.response.body", "body": chosen.body})
    gone.cancel()


async def events(chosen: Behaviour, sent: Sent) -> AsyncIterator[dict[str, Any]]:
    says = chosen if isinstance(chosen, Says) else None
    yield chunk({"role": "assistant", "content": ""})
    if isinstance(chosen, Refuses):
        yield chunk({"refusal": chosen.words})
    for token in says.tokens if says else ():
        await asyncio.sleep(says.delay if says else 0)
        yield chunk({"content": token})
    if says is None or says.finished:
        yield chunk({}, finish="stop")
    if sent.body.get("stream_options", {}).get("include_usage") and (says is None or says.usage):
        yield {**chunk({}), "choices": [], "usage": counted(says)}


def counted(says: Says | None) -> dict[str, int]:
    said = len(says.tokens) if says else 1
    return {"prompt_tokens": 11, "completion_tokens": said, "total_tokens": 11 + said}


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 0, "model": "any", "choices": [choice]}


def completion(chosen: Behaviour) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    says = chosen if isinstance(chosen, Says) else None
    if says:
        message["content"] = "".join(says.tokens)
    if isinstance(chosen, Refuses):
        message["refusal"] = chosen.words
    finish = "stop" if says is None or says.finished else "length"
    choice = {"index": 0, "message": message, "finish_reason": finish}
    base = {"id": "c1", "object": "chat.completion", "created": 0, "model": "any", "choices": [choice]}
    return {**base, "usage": counted(says)}


def vector(text: str, dimensions: int) -> list[float]:
    """Deterministic, and not of unit length, because some servers do not normalise."""
    digest = hashlib.sha256(text.encode()).digest()
    return [byte / 32 - 4 for byte in digest[:dimensions]]


async def read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def start(send: Send, kind: str, status: int = 200, length: int | None = None, after: str | None = None) -> None:
    headers = [(b"content-type", kind.encode())]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    if after is not None:
        headers.append((b"retry-after", after.encode()))
    message: Message = {"type": "http.response.start", "status": status, "headers": headers}
    await send(message)


async def send_event(send: Send, event: dict[str, Any]) -> None:
    line = f"data: {json.dumps(event)}\n\n".encode()
    await send({"type": "http.response.body", "body": line, "more_body": True})


async def answer_json(send: Send, answer: dict[str, Any], status: int = 200, after: str | None = None) -> None:
    await start(send, "application/json", status, after=after)
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


if __name__ == "__main__":
    with ModelServer() as forever:
        forever.always(Randomly(0.05, Fails(500), Says(*[f"word{number} " for number in range(20)], delay=0.05)))
        print(forever.url, flush=True)  # noqa: T201
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()

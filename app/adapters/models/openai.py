"""Models behind OpenAI's API or any that speaks like it (Ollama, vLLM, LM Studio, …): chat and embeddings.

Answers stream; leaving the iterator ends the HTTP request. What people write is in no error and no log.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx2
import openai
from openai.types.chat import ChatCompletion

from app.adapters.models.errors import Trouble, bad_status, no_answer, pause, unreadable
from app.adapters.models.text_chunks import cut, join
from app.core.circuit_breaker import CircuitBreaker, ConcurrencyLimit, BreakerState
from app.core.errors import AppError, ConfigurationError, Unavailable, UpstreamFailed
from app.core.ports import ChatMessage, ModelOptions, Purpose, Token, Usage, Vector

OPENAI = "https://api.openai.com/v1"
LONGEST_WAIT = 10.0
"""Seconds a person may be kept waiting for another try; a provider that asks for more is passed on as 503."""
PROBE_SECONDS = 30.0
NOTICE = re.compile(r"unsupported|unrecogni[sz]ed|unknown|unexpected|extra|not (?:supported|permitted|allowed)", re.I)
OPTIONAL = ("max_completion_tokens", "max_tokens", "temperature", "stream_options", "response_format", "store")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a model is and how it may be asked."""

    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    timeout_seconds: float = 60
    at_once: int = 32
    waiting: int = 128
    tries: int = 3
    rest_seconds: float = 15


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, for those who cannot use half of one."""

    text: str
    refused: bool
    cut_off: bool
    usage: Usage


class NothingSaidError(openai.OpenAIError):
    """A stream ended before its first word: as good as no answer."""


class Endpoint:
    """One server: its connections, how many calls at once, whether it answers, and what happens when it does not."""

    def __init__(self, who: str, prefix: str, connection: Connection, http: httpx2.AsyncClient | None) -> None:
        limits = httpx2.Limits(max_connections=connection.at_once + 2, max_keepalive_connections=connection.at_once)
        self.client = openai.AsyncOpenAI(
            api_key=connection.api_key or "none",
            base_url=connection.base_url or OPENAI,
            timeout=httpx2.Timeout(connection.timeout_seconds, connect=min(5, connection.timeout_seconds)),
            max_retries=0,  # counted, spaced and told to the breaker here
            http_client=http or openai.DefaultAsyncHttpxClient(limits=limits),
        )
        self.breaker = CircuitBreaker(who, rest_seconds=connection.rest_seconds)
        self.gate = ConcurrencyLimit(
            who, at_once=connection.at_once, waiting=connection.waiting, patience_seconds=connection.timeout_seconds
        )
        self._who, self._prefix, self._tries = who, prefix, connection.tries

    async def ask(self, call: Callable[[], Awaitable[T]], tries: int | None = None) -> T:
        """The call's result, after as many tries as make sense."""
        left = tries or self._tries
        while True:
            left -= 1
            trouble = await self._try(call)
            if not isinstance(trouble, Trouble):
                return trouble
            if not left or not trouble.again or (trouble.after or 0) > LONGEST_WAIT:
                raise trouble.error
            await asyncio.sleep(pause(self._tries - left, trouble))

    async def _try(self, call: Callable[[], Awaitable[T]]) -> T | Trouble:
        self.breaker.admit()
        try:
            result = await call()
        except (openai.OpenAIError, json.JSONDecodeError) as error:
            return self.judge(error)
        except (asyncio.CancelledError, AppError):
            self.breaker.cancelled()
            raise
        self.breaker.succeeded()
        return result

    def judge(self, error: Exception) -> Trouble:
        trouble = _judge(error, self._who, self._prefix)
        if trouble.down:
            self.breaker.failed()
        else:
            self.breaker.cancelled()
        return trouble


def _judge(error: Exception, who: str, prefix: str) -> Trouble:
    if isinstance(error, openai.APIStatusError):
        return bad_status(who, prefix, error.status_code, f"{error.code} {error.message}", error.response.headers)
    if isinstance(error, openai.APIConnectionError):
        return no_answer(who, timed_out=isinstance(error, openai.APITimeoutError))
    return unreadable(who)


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream that has begun to say something: failing before that could still be tried again."""

    head: list[object]
    rest: openai.AsyncStream[object]
    resources: AsyncExitStack

    async def chunks(self) -> AsyncIterator[object]:
        for chunk in self.head:
            yield chunk
        async for chunk in self.rest:
            yield chunk


class OpenAIModel:
    """Implements LanguageModel; `complete` besides, for the extractor."""

    def __init__(self, connection: Connection, *, model: str, http: httpx2.AsyncClient | None = None) -> None:
        self.name = model
        self._endpoint = Endpoint("The language model", "LLM", connection, http)
        self._token_limits = ["max_completion_tokens", "max_tokens"]
        if connection.base_url and "api.openai.com" not in connection.base_url:
            self._token_limits.reverse()  # others know the older name; whichever is refused gives way to the other
        self._refused: set[str] = set()
        self._probed: tuple[float, bool] = (-PROBE_SECONDS, False)

    @property
    def breaker_state(self) -> BreakerState:
        return self._endpoint.breaker.state

    @property
    def waiting(self) -> int:
        return self._endpoint.gate.waiting

    async def stream(
        self, messages: Sequence[ChatMessage], options: ModelOptions
    ) -> AsyncGenerator[Token | Usage, None]:
        async with self._endpoint.gate.enter():
            opened = await self._endpoint.ask(lambda: self._open(messages, options))
            async with opened.resources:
                said, usage, finished = 0, None, False
                try:
                    async for chunk in opened.chunks():
                        usage, finished = _usage_of(chunk) or usage, finished or _finished(chunk)
                        if text := _text(chunk):
                            said += len(text)
                            yield Token(text)
                except (openai.OpenAIError, json.JSONDecodeError) as error:
                    raise self._endpoint.judge(error).error from None
                if not finished:
                    raise broke_off()
                yield usage or estimate_usage(messages, said)

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        options: ModelOptions,
        *,
        as_json: bool = False,
        tries: int | None = None,
    ) -> Answer:
        wanted = self._wanted(messages, options)
        if as_json:
            wanted["response_format"] = {"type": "json_object"}
        async with self._endpoint.gate.enter():
            return _answer(await self._endpoint.ask(lambda: self._create(wanted), tries))

    async def healthy(self) -> bool:
        """Whether the endpoint answers at all, asked at most every half minute and never while the breaker is open."""
        if self.breaker_state is BreakerState.OPEN:
            return False
        if time.monotonic() - self._probed[0] > PROBE_SECONDS:
            self._probed = (time.monotonic(), await self._probe())
        return self._probed[1]

    async def close(self) -> None:
        await self._endpoint.client.close()

    async def _probe(self) -> bool:
        try:
            await self._endpoint.client.with_options(timeout=3).models.list()
        except openai.APIStatusError as error:
            return error.status_code in (404, 405, 429)  # it is there, without this route or without time
        except (openai.OpenAIError, json.JSONDecodeError):
            return False
        return True

    async def _open(self, messages: Sequence[ChatMessage], options: ModelOptions) -> Opened:
        wanted = {**self._wanted(messages, options), "stream": True, "stream_options": {"include_usage": True}}
        async with AsyncExitStack() as stack:
            stream = await stack.enter_async_context(await self._create(wanted))
            head: list[object] = []
            async for chunk in stream:
                head.append(chunk)
                if _text(chunk) or _finished(chunk):
                    return Opened(head, stream, stack.pop_all())
        raise NothingSaidError

    def _wanted(self, messages: Sequence[ChatMessage], options: ModelOptions) -> dict[str, Any]:
        wanted: dict[str, Any] = {
            "model": options.model or self.name,
            "messages": [_sent(message) for message in messages],
        }
        if options.temperature is not None:
            wanted["temperature"] = options.temperature
        if options.max_tokens is not None:
            wanted["max_tokens"] = options.max_tokens
        if not options.keep:
            wanted["store"] = False
        return wanted

    async def _create(self, wanted: dict[str, Any]) -> Any:
        """Compatible servers differ in what they take besides messages: what one refuses by name is not sent again."""
        while True:
            sent = self._accepted(wanted)
            try:
                return await self._post(sent)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                refused = _refused_parameter(error, sent)
                if refused is None:
                    raise
                self._refused.add(refused)

    async def _post(self, sent: dict[str, Any]) -> Any:
        """As `chat.completions.create`, which walks through every message's type first: 20 ms for a long history. The
        words of a stream come as plain JSON: as objects of the package each took 0.2 ms."""
        return await self._endpoint.client.post(
            "/chat/completions",
            body=sent,
            cast_to=ChatCompletion,
            stream=bool(sent.get("stream")),
            stream_cls=openai.AsyncStream[object],
        )

    def _accepted(self, wanted: dict[str, Any]) -> dict[str, Any]:
        sent = {name: value for name, value in wanted.items() if name != "max_tokens" and name not in self._refused}
        limit = next((name for name in self._token_limits if name not in self._refused), None)
        if limit and "max_tokens" in wanted:
            sent[limit] = wanted["max_tokens"]
        return sent


def broke_off() -> Unavailable:
    return Unavailable("The language model broke off before its answer was complete.", headers={"Retry-After": "5"})


def _sent(message: ChatMessage) -> dict[str, str]:
    """JSON can carry half a surrogate pair to us; a request cannot carry it on."""
    return {"role": message.role.value, "content": message.content.encode(errors="replace").decode()}


def _text(chunk: object) -> str:
    delta = _part(_choice(chunk), "delta")
    text = delta.get("content") or delta.get("refusal")
    return text if isinstance(text, str) else ""


def _finished(chunk: object) -> bool:
    return bool(_choice(chunk).get("finish_reason"))


def _usage_of(chunk: object) -> Usage | None:
    usage = _part(chunk, "usage")
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return Usage(prompt, completion) if isinstance(prompt, int) and isinstance(completion, int) else None


def estimate_usage(messages: Sequence[ChatMessage], said: int) -> Usage:
    """Where the provider does not tell: four letters are about a token."""
    return Usage(sum(len(message.content) for message in messages) // 4, said // 4)


def _choice(chunk: object) -> Mapping[str, object]:
    choices = chunk.get("choices") if isinstance(chunk, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _part(whole: object, name: str) -> Mapping[str, object]:
    part = whole.get(name) if isinstance(whole, dict) else None
    return part if isinstance(part, dict) else {}


def _usage(usage: openai.types.CompletionUsage | None) -> Usage | None:
    return Usage(usage.prompt_tokens, usage.completion_tokens) if usage else None


def _answer(completion: object) -> Answer:
    if not isinstance(completion, ChatCompletion) or not completion.choices:
        raise UpstreamFailed("The language model answered with something that is not a completion.")
    choice = completion.choices[0]
    refused = bool(choice.message.refusal) or choice.finish_reason == "content_filter"
    usage = _usage(completion.usage) or Usage()
    return Answer(choice.message.content or "", refused, choice.finish_reason == "length", usage)


def _refused_parameter(error: openai.APIStatusError, sent: dict[str, Any]) -> str | None:
    for name in OPTIONAL:
        named = error.param == name or (re.search(rf"\b{name}\b", error.message) and NOTICE.search(error.message))
        if name in sent and named:
            return name
    return None


class OpenAIEmbedder:
    """Made with `open_embedder`, which finds out how many dimensions the model has."""

    BATCH = 64

    def __init__(self, endpoint: Endpoint, model: str, dimensions: int, longest: int) -> None:
        self.name = f"openai:{model}"
        self.dimensions = dimensions
        self._endpoint = endpoint
        self._model = model
        self._longest = longest

    async def embed(self, texts: Sequence[str], purpose: Purpose = Purpose.DOCUMENT) -> list[Vector]:  # noqa: ARG002  # the API makes no difference
        pieces = cut(texts, self._longest)
        starts = range(0, len(pieces.texts), self.BATCH)
        batches = [embed_batch(self._endpoint, self._model, pieces.texts[at : at + self.BATCH]) for at in starts]
        return join(pieces, [vector for batch in await asyncio.gather(*batches) for vector in batch])

    async def close(self) -> None:
        await self._endpoint.client.close()


async def open_embedder(
    connection: Connection, *, model: str, longest: int = 2000, http: httpx2.AsyncClient | None = None
) -> OpenAIEmbedder:
    """`longest` is in characters: 2,000 stay within the 512 tokens of the smallest common models."""
    endpoint = Endpoint("The embedding model", "EMBEDDER", connection, http)
    try:
        [vector] = await embed_batch(endpoint, model, ["How many dimensions has this?"])
    except AppError as error:
        await endpoint.client.close()
        raise ConfigurationError(
            f"{error.detail} Check EMBEDDER_BASE_URL, EMBEDDER_MODEL and EMBEDDER_API_KEY"
        ) from None
    return OpenAIEmbedder(endpoint, model, len(vector), longest)


async def embed_batch(endpoint: Endpoint, model: str, texts: list[str]) -> list[list[float]]:
    async with endpoint.gate.enter():
        reply = await endpoint.ask(
            lambda: endpoint.client.embeddings.create(model=model, input=texts, encoding_format="float")
        )
    entries = sorted(reply.data or [], key=lambda entry: entry.index)
    if len(entries) != len(texts):
        raise UpstreamFailed("The embedding model did not answer with one vector for each text.")
    return [entry.embedding for entry in entries]

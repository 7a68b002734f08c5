"""Chat models behind OpenAI's API or a compatible one (Ollama, vLLM, LM Studio, …).

Answers are streamed. Closing the iterator ends the HTTP request. Errors and logs contain no content.
"""

import json
import re
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx2
import openai
from openai.types.chat import ChatCompletion

from app.adapters.models.errors import (
    ModelFailure,
    NoCompletion,
    connection_failure,
    raise_refused,
    require_completion,
    status_failure,
    unreadable_response,
)
from app.adapters.models.guarded_calls import CallLimits, GuardedCalls
from app.core.circuit_breaker import BreakerState
from app.core.completion_messages import chunk_text, has_content, is_finished, nested_object, usage_of
from app.core.errors import Unavailable
from app.core.ports import ChatMessage, Json, ModelOptions, Token, Usage
from app.core.storable_text import TextCleaner, clean_text

OPENAI_URL = "https://api.openai.com/v1"
PROBE_SECONDS = 30.0
UNSUPPORTED = re.compile(
    r"unsupported|unrecogni[sz]ed|unknown|unexpected|extra|not (?:supported|permitted|allowed)", re.I
)
OPTIONAL_PARAMETERS = (
    "max_completion_tokens",
    "max_tokens",
    "temperature",
    "stream_options",
    "response_format",
    "store",
)
RESPONSE_ERRORS = (openai.OpenAIError, json.JSONDecodeError, UnicodeDecodeError)


@dataclass(frozen=True, slots=True)
class Connection:
    """The address of a model server and the limits for calling it.

    `timeout_seconds` is the longest wait for an answer in all: the queue, every try and the pauses between them. In a
    stream, it is the longest wait for the first token in all, and then the longest silence between two tokens.
    """

    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    timeout_seconds: float = 60
    at_once: int = 32
    waiting: int = 128
    tries: int = 3
    rest_seconds: float = 15


@dataclass(frozen=True, slots=True)
class Completion:
    """A complete answer, not streamed."""

    text: str
    refused: bool
    cut_off: bool
    usage: Usage


class EmptyStreamError(openai.OpenAIError):
    """A stream ended before its first token."""


class Endpoint(GuardedCalls):
    """One model server with its connections."""

    def __init__(self, name: str, prefix: str, connection: Connection, http: httpx2.AsyncClient | None) -> None:
        self.client = open_client(connection, http)
        limits = CallLimits(
            timeout_seconds=connection.timeout_seconds,
            at_once=connection.at_once,
            waiting=connection.waiting,
            tries=connection.tries,
            rest_seconds=connection.rest_seconds,
        )
        super().__init__(name, limits, RESPONSE_ERRORS, lambda error: classify_error(error, name, prefix))


def open_client(connection: Connection, http: httpx2.AsyncClient | None = None) -> openai.AsyncOpenAI:
    """Without retries of its own, because `GuardedCalls` makes and counts them."""
    limits = httpx2.Limits(max_connections=connection.at_once + 2, max_keepalive_connections=connection.at_once)
    return openai.AsyncOpenAI(
        api_key=connection.api_key or "none",
        base_url=connection.base_url or OPENAI_URL,
        timeout=httpx2.Timeout(connection.timeout_seconds, connect=min(5, connection.timeout_seconds)),
        max_retries=0,
        http_client=http or openai.DefaultAsyncHttpxClient(limits=limits, verify=trusted_certificates()),
    )


@cache
def trusted_certificates() -> ssl.SSLContext:
    """One for all models and projects, because reading the certificates takes 25 ms of CPU."""
    return httpx2.create_ssl_context()


def classify_error(error: Exception, name: str, prefix: str) -> ModelFailure:
    if isinstance(error, openai.APIStatusError):
        return status_failure(name, prefix, error.status_code, f"{error.code} {error.message}", error.response.headers)
    if isinstance(error, openai.APIConnectionError):
        return connection_failure(name, timed_out=isinstance(error, openai.APITimeoutError))
    return unreadable_response(name)


@dataclass(frozen=True, slots=True)
class OpenStream:
    """A stream whose first token has arrived. Failures before that can be retried."""

    head: list[object]
    rest: openai.AsyncStream[object]
    resources: AsyncExitStack

    async def chunks(self) -> AsyncIterator[object]:
        for chunk in self.head:
            yield chunk
        async for chunk in self.rest:
            yield chunk


class OpenAIModel:
    """Implements LanguageModel. The extractor uses `complete`."""

    def __init__(self, connection: Connection, *, model: str, http: httpx2.AsyncClient | None = None) -> None:
        self.name = model
        self._endpoint = Endpoint("The language model", "LLM", connection, http)
        self._token_limits = ["max_completion_tokens", "max_tokens"]
        if connection.base_url and "api.openai.com" not in connection.base_url:
            self._token_limits.reverse()  # other servers prefer the older name; if one is refused, the other is used
        self._refused_parameters: set[str] = set()
        self._probed: tuple[float, bool] = (-PROBE_SECONDS, False)

    @property
    def breaker_state(self) -> BreakerState:
        return self._endpoint.breaker.state

    @property
    def waiting(self) -> int:
        return self._endpoint.limit.waiting

    async def stream(
        self, messages: Sequence[ChatMessage], options: ModelOptions
    ) -> AsyncGenerator[Token | Usage, None]:
        length, usage, finished, cleaner = 0, None, False, TextCleaner()
        async with aclosing(self._chunks(self._build_body(messages, options))) as chunks:
            async for chunk in chunks:
                usage, finished = usage_of(chunk) or usage, finished or is_finished(chunk)
                if text := cleaner.feed(chunk_text(chunk)):
                    length += len(text)
                    yield Token(text)
        if not finished:
            raise incomplete_answer()
        if rest := cleaner.finish():
            yield Token(rest)
        yield usage or estimate_usage(messages, length)

    async def relay(self, body: Mapping[str, Any]) -> Json:
        deadline = self._endpoint.deadline()
        async with self._endpoint.limit.enter():
            sent = dict(body)
            answer = await self._endpoint.call(lambda: self._create(sent, passed_on=True), deadline=deadline)
        return require_completion(answer)

    async def relay_stream(self, body: Mapping[str, Any]) -> AsyncGenerator[Json, None]:
        finished = False
        async with aclosing(self._chunks(body, passed_on=True)) as chunks:
            async for chunk in chunks:
                finished = finished or is_finished(chunk)
                if isinstance(chunk, dict):
                    yield chunk
        if not finished:
            raise incomplete_answer()

    async def _chunks(self, body: Mapping[str, Any], *, passed_on: bool = False) -> AsyncGenerator[object, None]:
        deadline = self._endpoint.deadline()
        async with self._endpoint.limit.enter():
            opened = await self._endpoint.call(lambda: self._open(body, passed_on=passed_on), deadline=deadline)
            async with opened.resources:
                try:
                    async for chunk in opened.chunks():
                        yield chunk
                except RESPONSE_ERRORS as error:
                    raise self._endpoint.record_failure(error).error from None

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        options: ModelOptions,
        *,
        as_json: bool = False,
        tries: int | None = None,
    ) -> Completion:
        body = self._build_body(messages, options)
        if as_json:
            body["response_format"] = {"type": "json_object"}
        deadline = self._endpoint.deadline()
        async with self._endpoint.limit.enter():
            answer = await self._endpoint.call(lambda: self._create(body), deadline=deadline, tries=tries)
        return _parse_completion(answer)

    async def healthy(self) -> bool:
        """Whether the server responds. It is asked at most every 30 seconds, and never while the breaker is open."""
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
            return error.status_code in (404, 405, 429)  # the server responds, without this route or over its limit
        except RESPONSE_ERRORS:
            return False
        return True

    async def _open(self, body: Mapping[str, Any], *, passed_on: bool) -> OpenStream:
        options = {"include_usage": True, **nested_object(body, "stream_options")}
        sent = {**body, "stream": True, "stream_options": {**options, "include_usage": True}}
        async with AsyncExitStack() as stack:
            stream = await stack.enter_async_context(await self._create(sent, passed_on=passed_on))
            head: list[object] = []
            async for chunk in stream:
                head.append(chunk)
                if has_content(chunk) or is_finished(chunk):
                    return OpenStream(head, stream, stack.pop_all())
        raise EmptyStreamError

    def _build_body(self, messages: Sequence[ChatMessage], options: ModelOptions) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": options.model or self.name,
            "messages": [_message_to_dict(message) for message in messages],
        }
        if options.temperature is not None:
            body["temperature"] = options.temperature
        if options.max_tokens is not None:
            body["max_tokens"] = options.max_tokens
        if not options.keep:
            body["store"] = False
        return body

    async def _create(self, body: dict[str, Any], *, passed_on: bool = False) -> Any:
        """Compatible servers accept different parameters: one that the server refuses by name is not sent again."""
        while True:
            sent = self._without_refused(body)
            try:
                return await self._post(sent, object if passed_on else ChatCompletion)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                refused = _refused_parameter(error, sent)
                if refused is None and passed_on:
                    raise_refused(error.message, error.param, error.body)
                if refused is None:
                    raise
                self._refused_parameters.add(refused)

    async def _post(self, sent: dict[str, Any], cast_to: type[object]) -> Any:
        """Like `chat.completions.create`, which validates the type of every message: 20 ms for a long history. Chunks
        of a stream are plain JSON, because the package's objects take 0.2 ms each."""
        return await self._endpoint.client.post(
            "/chat/completions",
            body=sent,
            cast_to=cast_to,
            stream=bool(sent.get("stream")),
            stream_cls=openai.AsyncStream[object],
        )

    def _without_refused(self, body: dict[str, Any]) -> dict[str, Any]:
        sent = {
            name: value for name, value in body.items() if name != "max_tokens" and name not in self._refused_parameters
        }
        limit = next((name for name in self._token_limits if name not in self._refused_parameters), None)
        if limit and "max_tokens" in body:
            sent[limit] = body["max_tokens"]
        return sent


def incomplete_answer() -> Unavailable:
    return Unavailable("The language model's answer ended before it was complete.", headers={"Retry-After": "5"})


def _message_to_dict(message: ChatMessage) -> dict[str, str]:
    """Replaces lone surrogates, which JSON may contain and a request may not."""
    return {"role": message.role.value, "content": message.content.encode(errors="replace").decode()}


def estimate_usage(messages: Sequence[ChatMessage], length: int) -> Usage:
    """An estimate if the provider returns no usage: about four characters per token. `length` is that of the answer."""
    return Usage(sum(len(message.content) for message in messages) // 4, length // 4)


def _usage_of_completion(usage: openai.types.CompletionUsage | None) -> Usage | None:
    return Usage(usage.prompt_tokens, usage.completion_tokens) if usage else None


def _parse_completion(completion: object) -> Completion:
    if not isinstance(completion, ChatCompletion) or not completion.choices:
        raise NoCompletion("The language model's response is not a completion.")
    choice = completion.choices[0]
    refused = bool(choice.message.refusal) or choice.finish_reason == "content_filter"
    usage = _usage_of_completion(completion.usage) or Usage()
    return Completion(clean_text(choice.message.content or ""), refused, choice.finish_reason == "length", usage)


def _refused_parameter(error: openai.APIStatusError, sent: dict[str, Any]) -> str | None:
    for name in OPTIONAL_PARAMETERS:
        named = error.param == name or (re.search(rf"\b{name}\b", error.message) and UNSUPPORTED.search(error.message))
        if name in sent and named:
            return name
    return None

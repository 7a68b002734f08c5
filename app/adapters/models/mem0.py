"""Extraction by mem0: its prompt, its pipeline and its rules, with everything around them replaced.

The shipped `AsyncMemory` uses the default thread pool for every step, logs what people wrote, treats an unreadable
answer as "no facts", and writes files. Here a copy of its pipeline function runs with replaced globals: each step may
be async, nothing is logged, and a failure of the model is raised before mem0 can treat it as an empty answer.
"""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from types import FunctionType, SimpleNamespace
from typing import Any, Protocol

from mem0.exceptions import LLMError
from mem0.memory import main
from mem0.memory.utils import extract_json, remove_code_blocks
from mem0.utils.factory import LlmFactory

from app.adapters.models.errors import DEFAULT_RETRY_SECONDS, NoCompletion, UnreadableResponse, retry_after
from app.adapters.models.extracted_json import UnusableAnswer, parse_sources, parse_standing, read_facts
from app.adapters.models.openai import OpenAIModel, estimate_usage
from app.core.circuit_breaker import BreakerState, CircuitBreaker
from app.core.errors import AppError, ConfigurationError, ExtractionFailed, Unavailable, UpstreamFailed
from app.core.ports import (
    ChatMessage,
    ExtractedFact,
    Extraction,
    ExtractionRequest,
    KnownMemory,
    ModelOptions,
    Role,
    Usage,
)

MAX_KNOWN = 10
MAX_QUERIES = 10
MAX_SOURCES_SEARCHED = 4
"""Several conversations that are read together get up to so many times the known memories of one."""
SOURCES_INSTRUCTION = (
    "Each new message begins with a number in brackets, which is that of its conversation. Add to each memory the field"
    ' "source" with the number of the conversation that contains it. The number is not part of the memory.'
)
STANDING_INSTRUCTION = (
    'Add the field "standing": true to a memory that is an instruction or a preference of the user for every future'
    " answer, such as its language, form or length, or a lasting condition, such as a diet or an allergy."
)


class ExtractionModel(Protocol):
    """The language model of the extractor. Raises ExtractionFailed."""

    name: str

    async def answer(self, messages: Sequence[ChatMessage], *, keep: bool) -> "ModelAnswer": ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    text: str
    usage: Usage


class Mem0Extractor:
    def __init__(self, model: ExtractionModel) -> None:
        self.name = f"mem0:{model.name}"
        self._model = model

    async def extract(self, request: ExtractionRequest) -> Extraction:
        messages = _number_by_source(request)
        if not messages:
            return Extraction([])
        call = ExtractionCall(request, self._model)
        memory = IsolatedMemory(call)
        scope = {"user_id": request.user_id, "agent_id": request.agent_id}
        try:
            await memory.run(messages, {name: value for name, value in scope.items() if value})
        except LLMError as error:
            raise _unwrap_llm_error(error) from None
        return Extraction(call.facts, usage=call.usage)

    async def close(self) -> None:
        await self._model.close()


# ---------------------------------------------------------------- replacements of mem0's collaborators


@dataclass(slots=True)
class ExtractionCall:
    """Stands in for mem0's embedder, vector store, history and model during one extraction."""

    request: ExtractionRequest
    model: ExtractionModel
    known: list[KnownMemory] = field(default_factory=list)
    facts: list[ExtractedFact] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    sources: Mapping[str, int] = field(default_factory=dict)
    """The conversation of each fact, if the model names it."""
    standing: frozenset[str] = frozenset()
    """The facts that the model calls standing."""

    # the embedder: the indexer embeds memories later, so any vector will do

    def embed(self, text: str, action: str) -> list[float]:  # noqa: ARG002
        return []

    def embed_batch(self, texts: Sequence[str], action: str) -> list[list[float]]:  # noqa: ARG002
        return [[] for _ in texts]

    # the vector store

    async def search(self, **_: object) -> list[SimpleNamespace]:
        self.known = await _search_known(self.request)
        return [SimpleNamespace(id=str(memory.id), payload={"data": memory.text}) for memory in self.known]

    def insert(self, vectors: object, ids: object, payloads: Sequence[dict[str, Any]]) -> None:  # noqa: ARG002
        self.facts += [
            ExtractedFact(
                payload["data"],
                _parse_role(payload.get("attributed_to")),
                standing=True if payload["data"] in self.standing else None,
                source=self.sources.get(payload["data"]),
            )
            for payload in payloads
        ]

    # the history, which stores nothing

    def get_last_messages(self, scope: str, limit: int) -> list[dict[str, str]]:  # noqa: ARG002
        return [_to_dict(message) for message in self.request.recent[-limit:]]

    def save_messages(self, messages: object, scope: str) -> None:
        """Messages are stored in their own table, where their owner can erase them."""

    def batch_add_history(self, records: object) -> None:
        """The ledger writes history, in the transaction that writes the memory."""

    # the model

    async def generate_response(self, messages: Sequence[dict[str, str]], **_: object) -> str:
        prompt = [ChatMessage(Role(message["role"]), message["content"]) for message in messages]
        try:
            return await self._ask_model(prompt)
        except UnusableAnswer:
            """Ask once more: most models do not fail twice in a row."""
        try:
            return await self._ask_model(prompt)
        except UnusableAnswer as error:
            raise ExtractionFailed(str(error)) from None

    async def _ask_model(self, prompt: Sequence[ChatMessage]) -> str:
        answer = await self.model.answer(prompt, keep=self.request.keep)
        self.usage += answer.usage
        facts = parse_facts(answer.text)
        self.sources = parse_sources(facts, set(self.request.sources))
        self.standing = parse_standing(facts)
        return facts


class IsolatedMemory(main.AsyncMemory):  # type: ignore[misc]  # mem0 has no types
    """mem0's pipeline over one ExtractionCall. Does not call mem0's __init__, which opens files and a database."""

    def __init__(self, call: ExtractionCall) -> None:
        self.config = SimpleNamespace()
        self.embedding_model = self.vector_store = self.db = self.llm = call
        self.reranker = self._entity_store = None
        self.api_version, self.collection_name = "v1.1", ""
        numbered = SOURCES_INSTRUCTION if _has_several_sources(call.request) else ""
        self.custom_instructions = "\n".join(filter(None, (call.request.instructions, numbered, STANDING_INSTRUCTION)))
        said_at = call.request.said_at
        replaced_globals = {
            **_REPLACED_GLOBALS,
            # `add` passes neither the date nor the language of the conversation to its prompt
            "generate_additive_extraction_prompt": partial(
                main.generate_additive_extraction_prompt,
                timestamp=said_at.date().isoformat() if said_at else None,
                use_input_language=True,
            ),
        }
        self._pipeline = FunctionType(main.AsyncMemory._add_to_vector_store.__code__, replaced_globals)

    async def run(self, messages: list[dict[str, str]], scope: dict[str, str]) -> None:
        await self._pipeline(self, messages, dict(scope), scope, True, None)


async def _call_directly(step: Callable[..., Any], *arguments: object, **named: object) -> Any:
    """Replaces `asyncio.to_thread`: every step here is short or async."""
    result = step(*arguments, **named)
    return await result if inspect.isawaitable(result) else result


class _NullLogger:
    """Replaces mem0's logger, which receives memories and complete errors."""

    def debug(self, *_: object) -> None: ...

    warning = error = info = debug


_REPLACED_GLOBALS = {
    **vars(main),
    "asyncio": SimpleNamespace(to_thread=_call_directly),
    "logger": _NullLogger(),
    "capture_event": lambda *_: None,
    "lemmatize_for_bm25": lambda text: text,  # if spaCy is installed, mem0's own versions of these two download a
    "extract_entities_batch": lambda texts: [
        [] for _ in texts
    ],  # language model; the index has its own search by words
}


# ---------------------------------------------------------------- language models


class OpenAIExtractionModel:
    """Has a model of its own, with connections separate from those of the chat, so that jobs do not delay it."""

    def __init__(self, model: OpenAIModel) -> None:
        self.name = model.name
        self._model = model

    async def answer(self, messages: Sequence[ChatMessage], *, keep: bool) -> ModelAnswer:
        try:
            answer = await self._model.complete(messages, ModelOptions(keep=keep), as_json=True, tries=1)
        except AppError as error:
            if isinstance(error, UnreadableResponse | NoCompletion) and not error.is_outage:
                raise UnusableAnswer(error.detail) from None
            raise _extraction_failed(error, _retry_seconds(error)) from None
        if answer.refused:
            raise UnusableAnswer("The language model declined to extract memories from this conversation.")
        if answer.cut_off:
            raise UnusableAnswer("The language model's answer was cut off.")
        return ModelAnswer(answer.text, answer.usage)

    async def close(self) -> None:
        await self._model.close()


class Mem0ExtractionModel:
    """One of mem0's other providers, by name. Providers block, so they run in their own threads with a time limit."""

    def __init__(
        self,
        provider: str,
        *,
        model: str,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout_seconds: float = 60,
        threads: int = 4,
    ) -> None:
        self.name = f"{provider}:{model}"
        self._provider = make_provider(provider, model=model, api_key=api_key, base_url=base_url)
        self._timeout = timeout_seconds
        self._breaker = CircuitBreaker("The language model")
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="extract")

    async def answer(self, messages: Sequence[ChatMessage], *, keep: bool) -> ModelAnswer:  # noqa: ARG002  # providers have no such option
        plain = [_to_dict(message) for message in messages]
        ask = partial(self._provider.generate_response, messages=plain, response_format={"type": "json_object"})
        text = str(await self._ask(ask))
        return ModelAnswer(text, estimate_usage(messages, len(text)))  # few providers return token counts

    async def _ask(self, ask: Callable[[], object]) -> object:
        try:
            self._breaker.admit()
        except AppError as error:
            raise _extraction_failed(error, _retry_seconds(error)) from None
        call = asyncio.get_running_loop().run_in_executor(self._threads, ask)
        try:
            await asyncio.wait([call], timeout=self._timeout)
        except asyncio.CancelledError:
            self._breaker.cancelled()
            raise
        if not call.done():
            call.add_done_callback(_consume_exception)
            raise self._failed("The language model took too long.", DEFAULT_RETRY_SECONDS)
        failure = call.exception()  # each provider raises its own classes, and their messages may quote content
        if failure is not None:
            reason = f"The language model failed with {type(failure).__name__}."
            raise self._failed(reason, _requested_wait(failure) or DEFAULT_RETRY_SECONDS, failure)
        self._breaker.succeeded()
        return call.result()

    def _failed(self, reason: str, retry_after: float, failure: BaseException | None = None) -> ExtractionFailed:
        """A status below 500 refuses this request, and says nothing about the provider."""
        status = getattr(failure, "status_code", None)
        if isinstance(status, int) and status < 500:
            self._breaker.cancelled()
            return ExtractionFailed(reason, retry_after=retry_after)
        self._breaker.failed()
        is_outage = self._breaker.state is not BreakerState.CLOSED
        return ExtractionFailed(reason, retry_after=retry_after, is_outage=is_outage)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def make_provider(provider: str, *, model: str, api_key: str | None, base_url: str | None) -> Any:
    if provider not in LlmFactory.provider_to_class:
        known = ", ".join(sorted(LlmFactory.provider_to_class))
        raise ConfigurationError(f"LLM_PROVIDER={provider} is unknown. Choose one of: {known}.")
    parameters = inspect.signature(LlmFactory.provider_to_class[provider][1]).parameters
    url_name = next((name for name in parameters if name == f"{provider}_base_url" or name.endswith("_base_url")), None)
    if base_url and url_name is None:
        raise ConfigurationError(f"LLM_PROVIDER={provider} does not use LLM_BASE_URL. Leave it empty.")
    given = {"model": model, "api_key": api_key, url_name: base_url}
    try:
        return LlmFactory.create(provider, {name: value for name, value in given.items() if name and value})
    except (ImportError, ValueError, TypeError) as error:
        raise ConfigurationError(f"LLM_PROVIDER={provider} cannot be used: {error}") from None


# ---------------------------------------------------------------- requests and errors


def parse_facts(answer: str) -> str:
    """The facts as plain JSON. Raises UnusableAnswer, because mem0 treats an unreadable answer as no facts."""
    text = remove_code_blocks(answer)
    try:
        parsed = json.loads(text if text.startswith("{") else extract_json(text), strict=False)
    except json.JSONDecodeError:
        raise UnusableAnswer("The language model did not answer with JSON.") from None
    return json.dumps({"memory": read_facts(parsed)}, ensure_ascii=False)


def _has_several_sources(request: ExtractionRequest) -> bool:
    return len(set(request.sources)) > 1


def _number_by_source(request: ExtractionRequest) -> list[dict[str, str]]:
    """The messages of users and assistants; with several conversations, each begins with the number of its own."""
    sources = request.sources if _has_several_sources(request) else [None] * len(request.messages)
    return [
        {"role": message.role.value, "content": message.content if source is None else f"[{source}] {message.content}"}
        for message, source in zip(request.messages, sources, strict=True)
        if message.role is not Role.SYSTEM
    ]


def _unwrap_llm_error(error: LLMError) -> ExtractionFailed:
    cause = error.__cause__
    return cause if isinstance(cause, ExtractionFailed) else ExtractionFailed("The extraction failed inside mem0.")


def _extraction_failed(error: AppError, retry_after: float | None) -> ExtractionFailed:
    return ExtractionFailed(error.detail, retry_after=retry_after, is_outage=error.is_outage)


def _retry_seconds(error: AppError) -> float | None:
    """None if a retry cannot help: a refused key, an unknown model."""
    if isinstance(error, UpstreamFailed) or error.status < 500:
        return None
    requested = error.headers.get("Retry-After")
    return float(requested) if requested and isinstance(error, Unavailable) else DEFAULT_RETRY_SECONDS


def _requested_wait(failure: BaseException) -> float | None:
    """The errors of most providers contain the response."""
    headers = getattr(getattr(failure, "response", None), "headers", None)
    return retry_after(headers) if isinstance(headers, Mapping) else None


def _consume_exception(call: asyncio.Future[Any]) -> None:
    """Prevents asyncio from reporting a late failure as never retrieved."""
    if not call.cancelled():
        call.exception()


async def _search_known(request: ExtractionRequest) -> list[KnownMemory]:
    """Each message is a query of its own, because the average of all messages is near to nothing in particular."""
    if request.search_known is None:
        return []
    search: Callable[[Sequence[str], int], Awaitable[list[list[KnownMemory]]]] = request.search_known
    contents = [message.content for message in request.messages if message.role is not Role.SYSTEM]
    conversations = max(1, len(set(request.sources)))
    try:
        results = await search(contents[-MAX_QUERIES * conversations :], MAX_KNOWN)
    except AppError as error:
        raise _extraction_failed(error, DEFAULT_RETRY_SECONDS) from None
    found = {memory.id: memory for result in results for memory in result}
    most = MAX_KNOWN * min(conversations, MAX_SOURCES_SEARCHED)
    return sorted(found.values(), key=lambda memory: -memory.score)[:most]


def _to_dict(message: ChatMessage) -> dict[str, str]:
    return {"role": message.role.value, "content": message.content}


def _parse_role(attributed_to: object) -> Role:
    return Role.ASSISTANT if attributed_to == "assistant" else Role.USER

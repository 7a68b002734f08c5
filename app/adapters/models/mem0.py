"""Extraction by mem0: its prompt, its pipeline and its rules, with everything around them replaced.

`AsyncMemory` as shipped hops through the default thread pool at every step, logs what people wrote, takes an unreadable
answer for "no facts", and keeps files. Here its pipeline runs as a copy whose surroundings are ours: each step may be
async, nothing is logged, and whatever goes wrong with the model is raised before mem0 can take it for an empty answer.
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

from app.adapters.models.errors import LATER, retry_after
from app.adapters.models.openai import OpenAIModel, estimate_usage
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

MOST_KNOWN = 10
MOST_QUERIES = 10


class Answers(Protocol):
    """Where the extractor's words come from. Raises ExtractionFailed."""

    name: str

    async def answer(self, messages: Sequence[ChatMessage], *, keep: bool) -> "Answered": ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Answered:
    text: str
    usage: Usage


class Mem0Extractor:
    def __init__(self, answers: Answers) -> None:
        self.name = f"mem0:{answers.name}"
        self._answers = answers

    async def extract(self, request: ExtractionRequest) -> Extraction:
        messages = [_plain(message) for message in request.messages if message.role is not Role.SYSTEM]
        if not messages:
            return Extraction([])
        call = Call(request, self._answers)
        memory = OneExtraction(call)
        scope = {"user_id": request.user_id, "agent_id": request.agent_id}
        try:
            await memory.run(messages, {name: value for name, value in scope.items() if value})
        except LLMError as error:
            raise _unwrapped(error) from None
        return Extraction(call.facts, usage=call.usage)

    async def close(self) -> None:
        await self._answers.close()


# ---------------------------------------------------------------- what mem0 finds in place of its parts


@dataclass(slots=True)
class Call:
    """One extraction as mem0 sees it: the embedder, the vector store, the history and the model, all at once."""

    request: ExtractionRequest
    answers: Answers
    known: list[KnownMemory] = field(default_factory=list)
    facts: list[ExtractedFact] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)

    # the embedder: memories are embedded where they are stored, so any vector does

    def embed(self, text: str, action: str) -> list[float]:  # noqa: ARG002
        return []

    def embed_batch(self, texts: Sequence[str], action: str) -> list[list[float]]:  # noqa: ARG002
        return [[] for _ in texts]

    # the vector store

    async def search(self, **_: object) -> list[SimpleNamespace]:
        self.known = await _nearest(self.request)
        return [SimpleNamespace(id=str(memory.id), payload={"data": memory.text}) for memory in self.known]

    def insert(self, vectors: object, ids: object, payloads: Sequence[dict[str, Any]]) -> None:  # noqa: ARG002
        self.facts += [ExtractedFact(payload["data"], _role(payload.get("attributed_to"))) for payload in payloads]

    # the history, which keeps nothing

    def get_last_messages(self, scope: str, limit: int) -> list[dict[str, str]]:  # noqa: ARG002
        return [_plain(message) for message in self.request.recent[-limit:]]

    def save_messages(self, messages: object, scope: str) -> None:
        """Nothing is kept here: messages have their own table, with an owner who can erase them."""

    def batch_add_history(self, records: object) -> None:
        """The ledger writes history, in the transaction that writes the memory."""

    # the model

    async def generate_response(self, messages: Sequence[dict[str, str]], **_: object) -> str:
        prompt = [ChatMessage(Role(message["role"]), message["content"]) for message in messages]
        try:
            return await self._facts(prompt)
        except Nonsense:
            """Once more: most models that slip do not slip twice."""
        try:
            return await self._facts(prompt)
        except Nonsense as nonsense:
            raise ExtractionFailed(str(nonsense)) from None

    async def _facts(self, prompt: Sequence[ChatMessage]) -> str:
        answered = await self.answers.answer(prompt, keep=self.request.keep)
        self.usage += answered.usage
        return read_facts(answered.text)


class OneExtraction(main.AsyncMemory):  # type: ignore[misc]  # mem0 has no types
    """mem0's pipeline over one Call. Its own __init__ opens files and a database, so it does not run."""

    def __init__(self, call: Call) -> None:
        self.config = SimpleNamespace()
        self.embedding_model = self.vector_store = self.db = self.llm = call
        self.reranker = self._entity_store = None
        self.api_version, self.collection_name = "v1.1", ""
        self.custom_instructions = call.request.instructions
        said_at = call.request.said_at
        surroundings = {
            **_SURROUNDINGS,
            # `add` gives its prompt neither the day of the conversation nor the wish for its language
            "generate_additive_extraction_prompt": partial(
                main.generate_additive_extraction_prompt,
                timestamp=said_at.date().isoformat() if said_at else None,
                use_input_language=True,
            ),
        }
        self._pipeline = FunctionType(main.AsyncMemory._add_to_vector_store.__code__, surroundings)

    async def run(self, messages: list[dict[str, str]], scope: dict[str, str]) -> None:
        await self._pipeline(self, messages, dict(scope), scope, True, None)


async def _at_once(step: Callable[..., Any], *arguments: object, **named: object) -> Any:
    """In place of `asyncio.to_thread`: every step here is short, or can be awaited."""
    result = step(*arguments, **named)
    return await result if inspect.isawaitable(result) else result


class _Silent:
    """In place of mem0's logger, which is given memories and whole errors."""

    def debug(self, *_: object) -> None: ...

    warning = error = info = debug


_SURROUNDINGS = {
    **vars(main),
    "asyncio": SimpleNamespace(to_thread=_at_once),
    "logger": _Silent(),
    "capture_event": lambda *_: None,
    "lemmatize_for_bm25": lambda text: text,  # these two would download a language model where spaCy is installed,
    "extract_entities_batch": lambda texts: [[] for _ in texts],  # and the index finds words by itself
}


# ---------------------------------------------------------------- whose words these are


class OpenAIAnswers:
    """The model is its own to close: connections apart from the chat's, so that jobs keep nobody waiting."""

    def __init__(self, model: OpenAIModel) -> None:
        self.name = model.name
        self._model = model

    async def answer(self, messages: Sequence[ChatMessage], *, keep: bool) -> Answered:
        try:
            answer = await self._model.complete(messages, ModelOptions(keep=keep), as_json=True, tries=1)
        except AppError as error:
            raise ExtractionFailed(error.detail, retry_after=_later(error)) from None
        if answer.refused:
            raise Nonsense("The language model declined to extract memories from this.")
        if answer.cut_off:
            raise Nonsense("The language model's answer was cut off before its end.")
        return Answered(answer.text, answer.usage)

    async def close(self) -> None:
        await self._model.close()


class Mem0Answers:
    """Another of mem0's providers, by name. They block, so they have threads of their own and a time limit."""

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
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="extract")

    async def answer(self, messages: Sequence[ChatMessage], *, keep: bool) -> Answered:  # noqa: ARG002  # not theirs to say
        plain = [_plain(message) for message in messages]
        ask = partial(self._provider.generate_response, messages=plain, response_format={"type": "json_object"})
        reply = asyncio.get_running_loop().run_in_executor(self._threads, ask)
        await asyncio.wait([reply], timeout=self._timeout)
        if not reply.done():
            reply.add_done_callback(_forget)
            raise ExtractionFailed("The language model took too long.", retry_after=LATER)
        failure = reply.exception()  # of any class: each provider brings its own, and any of them may quote content
        if failure is not None:
            reason = f"The language model failed with {type(failure).__name__}."
            raise ExtractionFailed(reason, retry_after=_asked_to_wait(failure) or LATER)
        said = str(reply.result())
        return Answered(said, estimate_usage(messages, len(said)))  # not every provider of mem0's tells

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def make_provider(provider: str, *, model: str, api_key: str | None, base_url: str | None) -> Any:
    if provider not in LlmFactory.provider_to_class:
        known = ", ".join(sorted(LlmFactory.provider_to_class))
        raise ConfigurationError(f"LLM_PROVIDER {provider!r} is not one of: {known}")
    takes = inspect.signature(LlmFactory.provider_to_class[provider][1]).parameters
    url_name = next((name for name in takes if name == f"{provider}_base_url" or name.endswith("_base_url")), None)
    if base_url and url_name is None:
        raise ConfigurationError(f"LLM_BASE_URL means nothing to LLM_PROVIDER {provider!r}: leave it empty")
    given = {"model": model, "api_key": api_key, url_name: base_url}
    try:
        return LlmFactory.create(provider, {name: value for name, value in given.items() if name and value})
    except (ImportError, ValueError, TypeError) as error:
        raise ConfigurationError(f"LLM_PROVIDER {provider!r} cannot be used: {error}") from None


# ---------------------------------------------------------------- reading and failing


class Nonsense(Exception):
    """The model did answer, and the answer is no extraction. Another try may help, a third would not."""


def read_facts(answer: str) -> str:
    """The same facts as plain JSON, or Nonsense: mem0 would take what it cannot read for nothing to remember."""
    text = remove_code_blocks(answer)
    try:
        parsed = json.loads(text if text.startswith("{") else extract_json(text), strict=False)
    except json.JSONDecodeError:
        raise Nonsense("The language model did not answer with JSON.") from None
    memories = parsed.get("memory") if isinstance(parsed, dict) else None
    if not isinstance(memories, list):
        raise Nonsense("The language model's JSON has no list of memories.")
    facts = [fact for fact in map(_fact, memories) if fact]
    if memories and not facts:
        raise Nonsense("The language model's list of memories has no text in it.")
    return json.dumps({"memory": facts}, ensure_ascii=False)


def _fact(memory: object) -> dict[str, str] | None:
    """Small models write a plain string where an object was asked for."""
    text = memory.get("text") if isinstance(memory, dict) else memory
    if not isinstance(text, str) or not text.strip():
        return None
    by = memory.get("attributed_to") if isinstance(memory, dict) else None
    return {"text": text.strip(), "attributed_to": by if by in ("user", "assistant") else "user"}


def _unwrapped(error: LLMError) -> ExtractionFailed:
    cause = error.__cause__
    return cause if isinstance(cause, ExtractionFailed) else ExtractionFailed("The extraction failed inside mem0.")


def _later(error: AppError) -> float | None:
    """A refused key or an unknown model is not mended by asking again; what is away or busy may be back."""
    if isinstance(error, UpstreamFailed) or error.status < 500:
        return None
    asked = error.headers.get("Retry-After")
    return float(asked) if asked and isinstance(error, Unavailable) else LATER


def _asked_to_wait(failure: BaseException) -> float | None:
    """Most providers' errors carry the response."""
    headers = getattr(getattr(failure, "response", None), "headers", None)
    return retry_after(headers) if isinstance(headers, Mapping) else None


def _forget(reply: asyncio.Future[Any]) -> None:
    """So that a late failure is not reported as one nobody looked at."""
    if not reply.cancelled():
        reply.exception()


async def _nearest(request: ExtractionRequest) -> list[KnownMemory]:
    """Each message asks for itself: together they would be a blur, and near nothing in particular."""
    if request.search_known is None:
        return []
    asked: Callable[[Sequence[str], int], Awaitable[list[list[KnownMemory]]]] = request.search_known
    said = [message.content for message in request.messages if message.role is not Role.SYSTEM]
    try:
        answers = await asked(said[-MOST_QUERIES:], MOST_KNOWN)
    except AppError as error:
        raise ExtractionFailed(error.detail, retry_after=LATER) from None
    found = {memory.id: memory for each in answers for memory in each}
    return sorted(found.values(), key=lambda memory: -memory.score)[:MOST_KNOWN]


def _plain(message: ChatMessage) -> dict[str, str]:
    return {"role": message.role.value, "content": message.content}


def _role(attributed_to: object) -> Role:
    return Role.ASSISTANT if attributed_to == "assistant" else Role.USER

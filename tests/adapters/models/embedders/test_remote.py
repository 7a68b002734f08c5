"""An embedder at a provider that is down, slow, over its limit, changed, or refuses the texts of one project."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from app.adapters.models.embedders.openai import OpenAIEmbeddingClient
from app.adapters.models.embedders.remote import (
    DOCUMENT_LIMITS,
    PROBE,
    QUESTION_LIMITS,
    EmbedderLimits,
    KnownDimensions,
    RemoteEmbedder,
    open_remote_embedder,
)
from app.adapters.models.embedders.threads import BlockingEmbeddingClient
from app.adapters.models.openai import Connection
from app.core.circuit_breaker import BreakerState
from app.core.errors import AppError, ConfigurationError, TimedOut, Unavailable, UpstreamFailed
from app.core.ports import Purpose
from tests.model_server import Behaviour, Decides, Fails, Hangs, ModelServer, Says, Sent
from tests.patience import PATIENCE_SECONDS

ONE, OTHER = uuid.uuid4(), uuid.uuid4()
ONE_TRY = EmbedderLimits(
    questions=replace(QUESTION_LIMITS, timeout_seconds=10, tries=1),
    documents=replace(DOCUMENT_LIMITS, timeout_seconds=10, tries=1),
)
IMPATIENT = EmbedderLimits(questions=replace(QUESTION_LIMITS, timeout_seconds=0.2))
RESTLESS = EmbedderLimits(
    questions=replace(ONE_TRY.questions, rest_seconds=0), documents=replace(ONE_TRY.documents, rest_seconds=0)
)
"""The circuit breaker admits the next trial at once."""
OpenEmbedder = Callable[..., Awaitable[RemoteEmbedder]]


@pytest_asyncio.fixture
async def open_embedder(model_server: ModelServer, tmp_path: Path) -> AsyncIterator[OpenEmbedder]:
    opened: list[RemoteEmbedder] = []

    async def make(limits: EmbedderLimits = ONE_TRY) -> RemoteEmbedder:
        client = OpenAIEmbeddingClient(Connection(model_server.url), model="any")
        opened.append(await open_remote_embedder(client, KnownDimensions(tmp_path / "dimensions.json"), limits))
        model_server.requests.clear()
        return opened[-1]

    yield make
    for embedder in opened:
        await embedder.close()


async def ask(embedder: RemoteEmbedder, text: str = "Who likes tea?", tenant: uuid.UUID = ONE) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await embedder.embed([text], Purpose.QUERY, tenant=tenant)


async def fail(embedder: RemoteEmbedder, times: int, tenant: uuid.UUID = ONE) -> list[AppError]:
    errors = []
    for number in range(times):
        with pytest.raises(AppError) as raised:
            await ask(embedder, f"Question {number}", tenant)
        errors.append(raised.value)
    return errors


async def test_text_is_embedded_once_for_both_purposes_if_its_vectors_are_the_same(
    open_embedder: OpenEmbedder, model_server: ModelServer
) -> None:
    embedder = await open_embedder()
    for purpose in (Purpose.QUERY, Purpose.DOCUMENT):
        await embedder.embed(["I run marathons"], purpose, tenant=ONE)
    assert [sent.body["input"] for sent in model_server.requests] == [["I run marathons"]]


async def test_text_is_embedded_for_each_purpose_if_its_vectors_differ(tmp_path: Path) -> None:
    client = BlockingEmbeddingClient(
        "own", lambda texts, action: [[1.0, 0.0] if action == "search" else [0.0, 1.0] for _ in texts]
    )
    embedder = await open_remote_embedder(client, KnownDimensions(tmp_path / "dimensions.json"))
    vectors = [await embedder.embed(["I run marathons"], purpose) for purpose in (Purpose.QUERY, Purpose.DOCUMENT)]
    await embedder.close()
    assert vectors == [[[1.0, 0.0]], [[0.0, 1.0]]]


async def test_documents_are_retried_and_sent_in_batches(
    open_embedder: OpenEmbedder, model_server: ModelServer
) -> None:
    embedder = await open_embedder(EmbedderLimits())
    model_server.chat(Fails(429, retry_after="0"))
    vectors = await embedder.embed([f"text {number}" for number in range(130)])
    assert len({tuple(vector) for vector in vectors}) == 130
    assert sorted(len(sent.body["input"]) for sent in model_server.requests) == [2, 64, 64, 64]


@pytest.mark.parametrize("limits", [IMPATIENT, EmbedderLimits()], ids=["impatient", "default"])
async def test_slow_provider_does_not_hold_a_question_longer_than_its_limit(
    open_embedder: OpenEmbedder, model_server: ModelServer, limits: EmbedderLimits
) -> None:
    embedder = await open_embedder(limits)
    model_server.embedding(Hangs())
    [error] = await fail(embedder, 1)
    assert isinstance(error, TimedOut)


def test_page_of_providers_names_the_longest_waits() -> None:
    page = (Path(__file__).parents[4] / "docs" / "how-to" / "providers.md").read_text()
    limits = EmbedderLimits()
    question, document = limits.questions.timeout_seconds, limits.documents.timeout_seconds
    assert f"A search waits {question:g} seconds for it at most. Texts that are stored wait {document:g} |" in page


async def test_provider_that_is_down_opens_the_breaker_and_is_not_asked_until_it_has_rested(
    open_embedder: OpenEmbedder, model_server: ModelServer
) -> None:
    embedder = await open_embedder()
    model_server.embedding(Fails(503))
    errors = await fail(embedder, 5)
    assert (errors[-1].is_outage, embedder.breaker_state) == (True, BreakerState.OPEN)
    model_server.embedding(None)
    model_server.requests.clear()
    [refused] = await fail(embedder, 1)
    assert (refused.is_outage, model_server.requests, await embedder.healthy()) == (True, [], False)


async def test_health_recovers_without_traffic_once_the_provider_is_back(
    open_embedder: OpenEmbedder, model_server: ModelServer
) -> None:
    embedder = await open_embedder(RESTLESS)
    model_server.embedding(Fails(503))
    await fail(embedder, 5)
    assert not await embedder.healthy()
    model_server.embedding(None)
    assert await embedder.healthy()
    assert embedder.breaker_state is BreakerState.CLOSED
    await ask(embedder)


async def test_breaker_of_questions_does_not_stop_documents(
    open_embedder: OpenEmbedder, model_server: ModelServer
) -> None:
    embedder = await open_embedder()
    model_server.embedding(Fails(503))
    await fail(embedder, 5)
    model_server.embedding(None)
    assert len(await embedder.embed(["Ines likes tea"], tenant=ONE)) == 1
    assert embedder.breaker_state is BreakerState.OPEN


async def test_provider_that_asks_to_wait_is_left_alone_until_then(
    open_embedder: OpenEmbedder, model_server: ModelServer
) -> None:
    embedder = await open_embedder()
    model_server.embedding(Fails(429, retry_after="30"))
    [error] = await fail(embedder, 1)
    assert (type(error), error.headers["Retry-After"]) == (Unavailable, "30")
    model_server.embedding(None)
    model_server.requests.clear()
    [refused] = await fail(embedder, 1, OTHER)
    with pytest.raises(Unavailable, match="rate limit"):
        await embedder.embed(["Ines likes tea"], tenant=OTHER)
    assert (refused.is_outage, refused.headers["Retry-After"], model_server.requests) == (True, "30", [])
    assert (await embedder.healthy(), embedder.breaker_state) == (False, BreakerState.CLOSED)


@pytest.mark.parametrize("status", [400, 413, 500])
async def test_refused_texts_of_one_project_do_not_open_the_breaker_for_others(
    status: int, open_embedder: OpenEmbedder, model_server: ModelServer
) -> None:
    def refuse_questions(sent: Sent) -> Behaviour:
        return Fails(status) if "Question" in str(sent.body["input"]) else Says()

    embedder = await open_embedder()
    model_server.embedding(Decides(refuse_questions))
    errors = await fail(embedder, 8)
    assert {type(error) for error in errors} == {UpstreamFailed}
    await ask(embedder, tenant=OTHER)
    assert (embedder.breaker_state, await embedder.healthy()) == (BreakerState.CLOSED, True)


async def test_refused_key_concerns_everybody(open_embedder: OpenEmbedder, model_server: ModelServer) -> None:
    embedder = await open_embedder()
    model_server.key = "sk-NEW"
    errors = await fail(embedder, 5)
    assert {error.detail for error in errors} == {
        "The embedding model refused this server's key. Check EMBEDDER_API_KEY."
    }
    assert (errors[-1].is_outage, await embedder.healthy()) == (True, False)


async def test_vectors_of_another_length_are_refused(open_embedder: OpenEmbedder, model_server: ModelServer) -> None:
    embedder = await open_embedder(RESTLESS)
    model_server.dimensions = 4
    [error] = await fail(embedder, 1)
    assert error.detail == (
        "The embedding model returned vectors with 4 dimensions instead of 8. Set EMBEDDER_MODEL to the model of the"
        " index, or run `python -m app reindex`."
    )
    assert not await embedder.healthy()
    model_server.dimensions = 8
    assert await embedder.healthy()


async def test_repeated_text_is_sent_once_for_each_project(
    open_embedder: OpenEmbedder, model_server: ModelServer
) -> None:
    embedder = await open_embedder()
    for tenant in (ONE, OTHER):
        first = await embedder.embed(["tea", "milk", "tea"], tenant=tenant)
        assert await embedder.embed(["milk", "tea", "water"], tenant=tenant) == [
            first[1],
            first[0],
            *await embedder.embed(["water"], tenant=tenant),
        ]
    assert sorted(model_server.embedded) == ["milk", "milk", "tea", "tea", "water", "water"]


async def test_known_question_is_answered_while_the_provider_is_down(
    open_embedder: OpenEmbedder, model_server: ModelServer
) -> None:
    embedder = await open_embedder()
    await ask(embedder, "Who likes tea?")
    model_server.embedding(Fails(503))
    await fail(embedder, 5)
    await ask(embedder, "Who likes tea?")


async def test_server_starts_while_its_provider_is_away_if_it_has_started_before(
    open_embedder: OpenEmbedder, model_server: ModelServer
) -> None:
    model_server.embedding(Fails(503))
    with pytest.raises(ConfigurationError, match="failed with status 503"):
        await open_embedder()
    model_server.embedding(None)
    await open_embedder()
    model_server.embedding(Fails(503))
    embedder = await open_embedder(RESTLESS)
    assert (embedder.dimensions, await embedder.healthy()) == (8, False)
    model_server.embedding(None)
    assert await embedder.healthy()


async def test_server_does_not_start_with_a_refused_key_although_it_has_started_before(
    open_embedder: OpenEmbedder, model_server: ModelServer
) -> None:
    await open_embedder()
    model_server.key = "sk-NEW"
    with pytest.raises(ConfigurationError, match="EMBEDDER_API_KEY"):
        await open_embedder()


async def test_probe_contains_nothing_of_the_project(open_embedder: OpenEmbedder, model_server: ModelServer) -> None:
    embedder = await open_embedder()
    model_server.embedding(Fails(500))
    await fail(embedder, 1)
    assert model_server.embedded == ["Question 0", PROBE]

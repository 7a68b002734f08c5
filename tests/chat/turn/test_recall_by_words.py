"""A turn whose message cannot be embedded recalls by words, and says so."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from app.adapters.models.embedders.remote import RemoteEmbedder
from app.core.resources import Resources
from app.memory.ledger import NewMemory
from app.memory.namespace import Namespace
from app.memory.remember import remember
from app.settings import Settings
from app.wiring.embedders import connect_embedder
from tests.chat.conftest import StartConversation
from tests.model_server import Fails, ModelServer


async def test_request_to_forget_finds_by_words_while_the_provider_is_away(
    conversation: StartConversation,
    chat_resources: Resources,
    another_app: Callable[..., httpx.AsyncClient],
    model_server: ModelServer,
    tmp_path: Path,
) -> None:
    session = await conversation()
    namespace = Namespace(session.project_id, session.user_id, uuid.UUID(session.profile_id))
    texts = ("My sister Ines lives in Lisbon", "My sister Ines lives in Lisbon!", "The car is in the garage")
    memories = [NewMemory(text) for text in texts]
    ids = [str(each.id) for each in memories]
    await remember(chat_resources, namespace, memories)
    embedder = await embedder_of(model_server, tmp_path)
    model_server.embedding(Fails(503))
    async with another_app(embedder=embedder) as client:
        degraded = replace(session, client=client)
        asked = await degraded.send("Please forget that my sister Ines lives in Lisbon")
        nothing = await degraded.send("Please forget that I collect stamps")
        done = await degraded.send("Yes", confirm_forget=[each["id"] for each in asked["forget"]["memories"]])
    await embedder.close()
    assert [sorted(each["ids"]) for each in asked["forget"]["groups"]] == [sorted(ids[:2])]
    assert (asked["by_meaning"], "by their words alone" in asked["message"]["content"]) == (False, True)
    assert (nothing["forget"], nothing["by_meaning"]) == (None, False)
    assert "by their words alone" in nothing["message"]["content"]
    assert set(done["forgotten"]) == set(ids[:2])


async def embedder_of(model_server: ModelServer, folder: Path) -> RemoteEmbedder:
    remote: dict[str, Any] = {"embedder": "openai", "embedder_model": "any", "embedder_base_url": model_server.url}
    return await connect_embedder(Settings(_env_file=None, data_dir=folder, **remote))


async def test_turn_recalls_by_words_while_the_provider_is_away(
    conversation: StartConversation,
    chat_resources: Resources,
    another_app: Callable[..., httpx.AsyncClient],
    model_server: ModelServer,
    tmp_path: Path,
) -> None:
    session = await conversation()
    namespace = Namespace(session.project_id, session.user_id, uuid.UUID(session.profile_id))
    await remember(chat_resources, namespace, [NewMemory("My sister Ines lives in Lisbon")])
    embedder = await embedder_of(model_server, tmp_path)
    model_server.embedding(Fails(503))
    async with another_app(embedder=embedder) as client:
        degraded = replace(session, client=client)
        answer = await degraded.send("Where does my sister Ines live?")
        events = await degraded.stream("Which submarine is yellow?")
    await embedder.close()
    assert [each["memory"] for each in answer["recalled"]] == ["My sister Ines lives in Lisbon"]
    assert (answer["by_meaning"], answer["recall_failed"]) == (False, False)
    assert events[0].content == {"memories": [], "failed": False, "answerable": False, "by_meaning": False}
    assert "You remember nothing" not in str(model_server.conversations[-1])


async def test_question_for_a_time_alone_is_not_embedded(
    conversation: StartConversation,
    chat_resources: Resources,
    another_app: Callable[..., httpx.AsyncClient],
    model_server: ModelServer,
    tmp_path: Path,
) -> None:
    session = await conversation()
    namespace = Namespace(session.project_id, session.user_id, uuid.UUID(session.profile_id))
    await remember(chat_resources, namespace, [NewMemory("My sister Ines lives in Lisbon")])
    embedder = await embedder_of(model_server, tmp_path)
    model_server.requests.clear()
    async with another_app(embedder=embedder) as client:
        answer = await replace(session, client=client).send("What did I say today?")
    await embedder.close()
    assert [each["memory"] for each in answer["recalled"]] == ["My sister Ines lives in Lisbon"]
    assert [each.path for each in model_server.requests if each.path.endswith("/embeddings")] == []

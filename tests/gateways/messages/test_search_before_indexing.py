"""A stored message is found by its words at once, and by its meaning once the index has it."""

import uuid
from dataclasses import replace

import httpx

from app.core.resources import Resources
from app.main import create_app
from app.memory.indexing import Indexer
from app.memory.messages.ranking import WORDS_WEIGHT
from tests.conftest import KeyHolder, open_client
from tests.gateways.messages.test_routes import URL, message, search, store

MEANING = "the favourite language of a software developer"


async def test_message_is_found_by_words_before_the_index_has_it_and_by_meaning_afterwards(
    resources: Resources, project_id: uuid.UUID, key_holder: KeyHolder
) -> None:
    """The queries by meaning share no word with the message."""
    queue = Indexer(resources.database, resources.embedder, resources.index)
    held = replace(resources, index_queue=queue)
    async with open_client(create_app(held), key_holder.key) as client:
        stored = await store(client)
        by_words, by_meaning = await search(client, "Python"), await search(client, MEANING)
        assert [(each["content"], each["similarity"]) for each in by_words] == [(stored["content"], WORDS_WEIGHT)]
        assert by_meaning == []
        queue.start()
        assert await queue.wait_until_indexed(project_id, [f"{project_id}:messages:"], seconds=30)
        [found] = await search(client, MEANING)
        assert (found["id"], found["state"], 0 < found["similarity"] < 1) == (stored["id"], "indexed", True)
        await queue.close()


async def test_waiting_request_responds_once_a_message_is_found_by_its_meaning(client: httpx.AsyncClient) -> None:
    response = await client.post(f"{URL}?wait=true", json=message())
    assert (response.status_code, response.json()["state"]) == (201, "indexed")
    [found] = await search(client, MEANING)
    assert (found["id"], found["similarity"] > 0) == (response.json()["id"], True)

"""A request to forget never becomes a memory, through whichever way it is added."""

from uuid import UUID

import pytest

from app.core.resources import Resources
from app.memory.extraction import run_extraction
from tests.conftest import KeyHolder


@pytest.mark.parametrize("infer", [False, True], ids=["verbatim", "extracted"])
async def test_request_to_forget_is_no_memory(key_holder: KeyHolder, resources: Resources, infer: bool) -> None:
    client = key_holder.client
    texts = ["I like tea very much", "Please forget that I live in Paris.", "My cat is called Mimi"]
    messages = [{"role": "user", "content": text} for text in texts]
    added = await client.post("/v3/memories/add/", json={"messages": messages, "user_id": "alice", "infer": infer})
    assert added.status_code == 200, added.text
    if infer:
        await run_extraction(resources, key_holder.project_id, UUID(added.json()["event_id"]), 1)
    page = await client.post("/v3/memories/", json={"filters": {"user_id": "alice"}})
    assert sorted(each["memory"] for each in page.json()["results"]) == sorted([texts[0], texts[2]])
    alone = {"messages": texts[1], "user_id": "alice", "infer": False}
    assert (await client.post("/v3/memories/add/", json=alone)).json()["results"] == []

"""A request to forget, or not to store, never becomes a memory, through whichever way it is added."""

from uuid import UUID

import pytest

from app.core.resources import Resources
from app.memory.extraction import run_extraction
from tests.chat.conversation import AdminRows
from tests.conftest import KeyHolder

pytestmark = pytest.mark.plain_rows


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


async def test_wish_not_to_be_stored_and_its_answer_are_in_no_table(
    key_holder: KeyHolder, admin_rows: AdminRows
) -> None:
    wish = [
        {"role": "user", "content": "Off the record: I am Quillon."},
        {"role": "assistant", "content": "Hi Quillon"},
    ]
    others = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "I like tea"}]
    alone = await key_holder.client.post("/v3/memories/add/", json={"messages": wish, "user_id": "ann"})
    assert (alone.json()["status"], alone.json()["results"]) == ("SUCCEEDED", [])
    assert "Nothing was stored" in alone.json()["message"]
    beside = await key_holder.client.post(
        "/v3/memories/add/", json={"messages": [*wish, *others, *wish], "user_id": "ann"}
    )
    assert beside.json()["status"] == "PENDING"
    assert await admin_rows.tables_containing("Quillon") == []
    assert await admin_rows.tables_containing("I like tea") != []

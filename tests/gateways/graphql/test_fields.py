"""Every field of the schema does what its own route does."""

import re
import uuid
from pathlib import Path

from graphql import GraphQLObjectType

from app.gateways.graphql.server import CORE, SCHEMA
from app.gateways.mem0.memories.render import MemoryRead, MemorySource
from tests.gateways.graphql.conftest import GraphqlClient

ADD = "mutation Add($input: AddMemoriesInput!) { add_memories(input: $input) { status event_id results { id event } } }"
MEMORY = " ".join(name for name in MemoryRead.model_fields)
DOCS = Path(__file__).parents[3] / "docs"
ANN = {"filters": {"user_id": "ann"}}


async def add(graphql: GraphqlClient, *texts: str, **more: object) -> list[str]:
    messages = [{"content": text} for text in texts]
    added = await graphql.use(ADD, input={"messages": messages, "user_id": "ann", "infer": False, **more})
    assert added["add_memories"]["status"] == "SUCCEEDED"
    return [each["id"] for each in added["add_memories"]["results"]]


async def test_memories_are_the_same_as_through_the_plain_routes(graphql: GraphqlClient) -> None:
    ids = await add(graphql, "I like green tea", "I live in Oslo", metadata={"a": {"b": [1, None]}})
    query = f"""query All($where: MemoryFilter) {{
      memories(where: $where, page_size: 1) {{ count next_page results {{ {MEMORY} }} }}
    }}"""
    listed = (await graphql.use(query, where=ANN))["memories"]
    plain = (await graphql.http.post("/v3/memories/?page_size=1", json=ANN)).json()
    assert (listed["count"], listed["next_page"]) == (2, 2)
    assert listed["results"] == plain["results"]
    assert listed["results"][0]["door"] == "graphql"
    sources = f"sources {{ {' '.join(MemorySource.model_fields)} }}"
    query = f"query One($id: UUID!) {{ memory(id: $id) {{ {MEMORY} {sources} history {{ event new_memory }} }} }}"
    one = (await graphql.use(query, id=ids[0]))["memory"]
    assert one.pop("history") == [{"event": "ADD", "new_memory": "I like green tea"}]
    plain = (await graphql.http.get(f"/v1/memories/{ids[0]}/")).json()
    assert one == plain
    query = (
        f"query Listed($where: MemoryFilter) {{ memories(where: $where, page_size: 2) {{ results {{ {sources} }} }} }}"
    )
    assert (await graphql.use(query, where=ANN))["memories"]["results"][1]["sources"] == plain["sources"]


async def test_search_is_the_same_as_through_the_plain_route(graphql: GraphqlClient) -> None:
    await add(graphql, "I like green tea", "I live in Oslo")
    query = """query Find($query: String!, $where: SearchFilter) {
      search(query: $query, where: $where, top_k: 3) {
        answerable by_meaning results { id memory score } standing { id }
      }
    }"""
    where = {**ANN, "include_standing": True, "threshold": 0}
    found = (await graphql.use(query, query="green tea", where=where))["search"]
    plain = (await graphql.http.post("/v3/memories/search/", json={"query": "green tea", "top_k": 3, **where})).json()
    assert found["results"][0]["memory"] == "I like green tea"
    assert [each["id"] for each in found["results"]] == [each["id"] for each in plain["results"]]
    assert (found["answerable"], found["by_meaning"], found["standing"]) == (True, True, [])


async def test_memories_are_changed_archived_restored_and_deleted(graphql: GraphqlClient) -> None:
    (memory_id,) = await add(graphql, "I like green tea")
    change = """mutation Change($id: UUID!, $input: UpdateMemoryInput!) {
      update_memory(id: $id, input: $input) { memory metadata expiration_date }
    }"""
    changed = await graphql.use(
        change, id=memory_id, input={"text": "I like black tea", "expiration_date": "2099-01-31"}
    )
    assert changed["update_memory"]["memory"] == "I like black tea"
    assert changed["update_memory"]["expiration_date"] == "2099-01-31"
    cleared = await graphql.use(change, id=memory_id, input={"expiration_date": None})
    assert cleared["update_memory"]["expiration_date"] is None
    both = """mutation Rest($id: UUID!) {
      archive_memory(id: $id) { lifecycle_state }
      restore_memory(id: $id) { lifecycle_state }
      delete_memory(id: $id) { message cascade_count }
    }"""
    done = await graphql.use(both, id=memory_id)
    assert done["archive_memory"] == {"lifecycle_state": "archived"}
    assert done["restore_memory"] == {"lifecycle_state": "active"}
    assert done["delete_memory"] == {"message": "Memory deleted successfully!", "cascade_count": None}
    gone = await graphql.refusal("query One($id: UUID!) { memory(id: $id) { id } }", id=memory_id)
    assert (gone["code"], gone["status"]) == ("not_found", 404)


async def test_extraction_is_queued_as_through_the_plain_route(graphql: GraphqlClient) -> None:
    added = await graphql.use(ADD, input={"messages": [{"content": "I moved to Oslo"}], "user_id": "ann"})
    assert (added["add_memories"]["status"], added["add_memories"]["results"]) == ("PENDING", None)
    event = await graphql.http.get(f"/v1/event/{added['add_memories']['event_id']}/")
    assert event.status_code == 200


async def test_messages_are_stored_listed_and_found(graphql: GraphqlClient) -> None:
    store = """mutation Store($input: StoreMessageInput!) {
      store_message(input: $input, wait: true, idempotency_key: "once") { id role content metadata created_at }
    }"""
    values = {"conversation_id": "c", "role": "user", "content": "The invoice is due in March", "metadata": {"n": 1}}
    values["created_at"] = "2026-01-31T09:30:00Z"
    stored = (await graphql.use(store, input=values))["store_message"]
    assert (await graphql.use(store, input=values))["store_message"]["id"] == stored["id"]
    assert (stored["role"], stored["metadata"], stored["created_at"][:10]) == ("user", {"n": 1}, "2026-01-31")
    query = """query Read($id: UUID!) {
      messages(where: {conversation_id: "c", role: user}, limit: 5) { next results { id } }
      message(id: $id) { content tenant_id }
      search_messages(query: "invoice", where: {conversation_id: "c"}) { by_meaning results { id score similarity } }
    }"""
    read = await graphql.use(query, id=stored["id"])
    assert read["messages"] == {"next": None, "results": [{"id": stored["id"]}]}
    assert read["message"] == {"content": values["content"], "tenant_id": None}
    assert [each["id"] for each in read["search_messages"]["results"]] == [stored["id"]]


async def test_profiles_are_created_changed_and_deleted(graphql: GraphqlClient) -> None:
    create = (
        "mutation New($input: CreateProfileInput!) { create_profile(input: $input) { id user_id name is_default } }"
    )
    made = [
        (await graphql.use(create, input={"name": name, "user_id": "ann"}))["create_profile"]
        for name in ("home", "work")
    ]
    assert [each["is_default"] for each in made] == [True, False]
    rest = """mutation Rest($home: UUID!, $work: UUID!) {
      update_profile(id: $work, input: {persona: "Be brief"}) { name persona }
      set_default_profile(id: $work) { is_default }
      delete_profile(id: $home) { message }
    }"""
    done = await graphql.use(rest, home=made[0]["id"], work=made[1]["id"])
    assert done["update_profile"] == {"name": "work", "persona": "Be brief"}
    assert done["set_default_profile"] == {"is_default": True}
    read = await graphql.use(
        'query Read($id: UUID!) { profiles(user_id: "ann") { next results { id } } profile(id: $id) { name } }',
        id=made[1]["id"],
    )
    assert read == {"profiles": {"next": None, "results": [{"id": made[1]["id"]}]}, "profile": {"name": "work"}}


async def test_a_person_talks_in_a_session(graphql: GraphqlClient) -> None:
    create = "mutation New($input: CreateSessionInput!) { create_session(input: $input) { id privacy_mode } }"
    session = (await graphql.use(create, input={"user_id": "ann", "title": "Tea"}))["create_session"]
    assert session["privacy_mode"] == "normal"
    send = """mutation Say($input: SendMessageInput!, $key: String) {
      send_message(input: $input, idempotency_key: $key) {
        session_id privacy_mode will_remember user_message { id content } message { id role content }
        recalled { id } usage { prompt_tokens }
      }
    }"""
    turn = {"message": "I like green tea", "session_id": session["id"], "user_id": "ann"}
    said = (await graphql.use(send, input=turn, key="k"))["send_message"]
    again = (await graphql.use(send, input=turn, key="k"))["send_message"]
    assert again["message"] == said["message"]
    assert (said["session_id"], said["user_message"]["content"]) == (session["id"], "I like green tea")
    [episode] = (await graphql.http.post("/v3/memories/", json={"filters": {"run_id": session["id"]}})).json()[
        "results"
    ]
    assert episode["door"] == "graphql"
    read = """query Read($id: UUID!) {
      sessions(user_id: "ann") { results { id title } }
      session(id: $id) { privacy_mode messages(limit: 1) { next results { role content privacy_mode } } }
    }"""
    shown = await graphql.use(read, id=session["id"])
    assert shown["sessions"]["results"] == [{"id": session["id"], "title": "Tea"}]
    assert shown["session"]["messages"]["next"]
    assert shown["session"]["messages"]["results"][0]["role"] == "assistant"
    rest = """mutation Rest($id: UUID!) {
      update_session(id: $id, input: {privacy_mode: incognito}) { privacy_mode title }
      delete_session(id: $id) { message }
    }"""
    done = await graphql.use(rest, id=session["id"])
    assert done["update_session"] == {"privacy_mode": "incognito", "title": "Tea"}
    gone = await graphql.refusal(send, input=turn, key=None)
    assert gone["code"] == "not_found"


async def test_a_key_names_the_user(graphql: GraphqlClient) -> None:
    refused = await graphql.refusal("{ profiles { next } }")
    assert (refused["code"], refused["status"]) == ("bad_request", 400)
    assert "user_id" in refused["message"]


def test_every_field_of_the_schema_is_described() -> None:
    roots = [CORE.query_type, CORE.mutation_type]
    fields = [each for root in roots if isinstance(root, GraphQLObjectType) for each in root.fields.values()]
    assert len(fields) == 24
    assert all(each.description for each in fields)


def test_documents_have_the_schema() -> None:
    """After a change: python -c "from app.gateways.graphql.server import SCHEMA; print(SCHEMA.as_str())"."""
    assert (DOCS / "schema.graphql").read_text() == SCHEMA.as_str() + "\n"
    table = (DOCS / "graphql.md").read_text().partition("<!-- fields -->")[2].partition("<!-- /fields -->")[0]
    roots = [CORE.query_type, CORE.mutation_type]
    assert set(re.findall(r"`(\w+)`", table)) == {name for root in roots if root for name in root.fields}


async def test_ids_that_are_unknown_are_not_found(graphql: GraphqlClient) -> None:
    for field in ("memory", "message", "profile", "session"):
        refused = await graphql.refusal(f"query Q($id: UUID!) {{ {field}(id: $id) {{ id }} }}", id=str(uuid.uuid4()))
        assert refused["code"] == "not_found"

"""Anthropic's client keeps memory stores in profiles by changing its base URL."""

import hashlib
import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.core.resources import Resources
from tests.conftest import KeyHolder, MakeKey, SignedUp
from tests.e2e.loopback import with_request_limit
from tests.gateways.anthropic.conftest import ConnectAnthropic, address_of, paths
from tests.lazy_package import LazyPackage
from tests.loopback import serve_on_loopback
from tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    import anthropic
    from anthropic import AsyncAnthropic
else:
    anthropic = LazyPackage("anthropic")


async def test_store_is_a_profile(claude: "AsyncAnthropic", client: httpx.AsyncClient) -> None:
    stores = claude.beta.memory_stores
    store = await stores.create(name="Notes", description="Travel", metadata={"user_id": "ann", "team": "a"})
    assert store.id.startswith("memstore_")
    assert (store.type, store.name, store.description, store.archived_at) == ("memory_store", "Notes", "Travel", None)
    profile = (await client.get(f"/v1/profiles/{uuid.UUID(store.id.removeprefix('memstore_'))}")).json()
    assert (profile["name"], profile["user_id"]) == ("Notes", "ann")
    changed = await stores.update(store.id, name="T" * 255, description="", metadata={"team": None, "kind": "x"})
    assert (changed.name, changed.description) == ("T" * 255, "")
    assert changed.metadata == {"user_id": "ann", "kind": "x"}
    assert await stores.retrieve(store.id) == changed
    with pytest.raises(anthropic.BadRequestError):
        await stores.update(store.id, metadata={f"k{number}": "v" for number in range(17)})


async def test_stores_are_listed_in_pages_and_without_archived_ones(claude: "AsyncAnthropic") -> None:
    stores = claude.beta.memory_stores
    made = [await stores.create(name="Same name") for _ in range(3)]
    listed = [store.id async for store in stores.list(limit=2)]
    assert listed == [store.id for store in made[::-1]]
    assert (await stores.archive(made[0].id)).archived_at is not None
    assert [store.id async for store in stores.list(limit=1)] == listed[:2]
    assert [store.id async for store in stores.list(include_archived=True)] == listed
    since = [store.id async for store in stores.list(created_at_gte=made[1].created_at)]
    assert since == [made[2].id, made[1].id]
    deleted = await stores.delete(made[2].id)
    assert (deleted.id, deleted.type) == (made[2].id, "memory_store_deleted")
    with pytest.raises(anthropic.NotFoundError) as error:
        await stores.retrieve(made[2].id)
    assert error.value.type == "not_found_error"


async def test_memory_has_a_path_a_digest_and_versions(claude: "AsyncAnthropic") -> None:
    store = (await claude.beta.memory_stores.create(name="Notes")).id
    memories = claude.beta.memory_stores.memories
    created = await memories.create(store, path="/people/ines.md", content="Ines lives in Lisbon")
    assert created.content is None
    assert created.content_size_bytes == 20
    assert created.content_sha256 == hashlib.sha256(b"Ines lives in Lisbon").hexdigest()
    read = await memories.retrieve(created.id, memory_store_id=store)
    assert (read.content, read.path) == ("Ines lives in Lisbon", "/people/ines.md")
    changed = await memories.update(created.id, memory_store_id=store, content="Ines lives in Porto", view="full")
    assert (changed.content, changed.path) == ("Ines lives in Porto", "/people/ines.md")
    moved = await memories.update(created.id, memory_store_id=store, path="/family/ines.md")
    assert (moved.id, moved.path) == (created.id, "/family/ines.md")
    versions = claude.beta.memory_stores.memory_versions
    listed = [each async for each in versions.list(store, view="full", limit=2)]
    assert [(each.operation, each.path, each.content) for each in listed] == [
        ("modified", "/family/ines.md", "Ines lives in Porto"),
        ("modified", "/people/ines.md", "Ines lives in Porto"),
        ("created", "/people/ines.md", "Ines lives in Lisbon"),
    ]
    assert listed[0].id == moved.memory_version_id
    assert listed[2].id == created.memory_version_id
    only = [each.id async for each in versions.list(store, memory_id=created.id, operation="created")]
    assert only == [created.memory_version_id]


async def test_memories_are_listed_by_prefix_and_depth(claude: "AsyncAnthropic") -> None:
    store = (await claude.beta.memory_stores.create(name="Notes")).id
    memories = claude.beta.memory_stores.memories
    for path in ("/b.md", "/a/one.md", "/a/two/deep.md", "/a-b/x.md", "/Z.md"):
        await memories.create(store, path=path, content=f"At {path}")
    everything = ["/Z.md", "/a-b/x.md", "/a/one.md", "/a/two/deep.md", "/b.md"]
    assert await paths(claude, store) == everything
    assert await paths(claude, store, limit=2) == everything
    assert await paths(claude, store, path_prefix="/a/") == ["/a/one.md", "/a/two/deep.md"]
    assert await paths(claude, store, depth=1, limit=1) == ["/Z.md", "/a-b/", "/a/", "/b.md"]
    assert await paths(claude, store, depth=1, path_prefix="/a/") == ["/a/one.md", "/a/two/"]
    page = await memories.list(store, view="full", limit=1)
    assert page.data[0].type == "memory"
    assert page.data[0].content == "At /Z.md"


async def test_path_is_unique_and_preconditions_hold(claude: "AsyncAnthropic") -> None:
    store = (await claude.beta.memory_stores.create(name="Notes")).id
    memories = claude.beta.memory_stores.memories
    first = await memories.create(store, path="/a.md", content="One")
    second = await memories.create(store, path="/b.md", content="One")
    with pytest.raises(anthropic.ConflictError) as taken:
        await memories.create(store, path="/a.md", content="Two")
    assert taken.value.type == "memory_path_conflict_error"
    with pytest.raises(anthropic.ConflictError):
        await memories.update(second.id, memory_store_id=store, path="/a.md")
    wrong: Any = {"type": "content_sha256", "content_sha256": "0" * 64}
    with pytest.raises(anthropic.ConflictError) as changed:
        await memories.update(first.id, memory_store_id=store, content="Two", precondition=wrong)
    assert changed.value.type == "memory_precondition_failed_error"
    with pytest.raises(anthropic.ConflictError):
        await memories.delete(first.id, memory_store_id=store, expected_content_sha256="0" * 64)
    right: Any = {"type": "content_sha256", "content_sha256": first.content_sha256}
    after = await memories.update(first.id, memory_store_id=store, content="Two", precondition=right)
    deleted = await memories.delete(first.id, memory_store_id=store, expected_content_sha256=after.content_sha256)
    assert (deleted.id, deleted.type) == (first.id, "memory_deleted")
    assert await paths(claude, store) == ["/b.md"]


async def test_redacting_a_version_and_deleting_a_memory_remove_content(
    claude: "AsyncAnthropic", client: httpx.AsyncClient
) -> None:
    store = (await claude.beta.memory_stores.create(name="Notes")).id
    memories, versions = claude.beta.memory_stores.memories, claude.beta.memory_stores.memory_versions
    memory = await memories.create(store, path="/a.md", content="The code is Puffin")
    with pytest.raises(anthropic.BadRequestError, match="current version"):
        await versions.redact(memory.memory_version_id, memory_store_id=store)
    await memories.update(memory.id, memory_store_id=store, content="The code is gone")
    redacted = await versions.redact(memory.memory_version_id, memory_store_id=store)
    assert (redacted.content, redacted.path, redacted.content_sha256) == (None, None, None)
    assert redacted.redacted_at is not None
    assert redacted.redacted_by is not None
    assert redacted.redacted_by.type == "api_actor"
    history = await client.get(f"{address_of(memory.id)}history/")
    assert "gone" in history.text
    assert "Puffin" not in history.text
    await memories.delete(memory.id, memory_store_id=store)
    kept = [each async for each in versions.list(store, memory_id=memory.id, view="full")]
    assert [each.operation for each in kept] == ["deleted", "modified", "created"]
    assert all(each.content is None and each.path is None and each.redacted_at for each in kept)


async def test_redacting_a_version_deletes_the_exports_that_hold_it(
    claude: "AsyncAnthropic", client: httpx.AsyncClient
) -> None:
    store = (await claude.beta.memory_stores.create(name="Notes", metadata={"user_id": "ann"})).id
    memory = await claude.beta.memory_stores.memories.create(store, path="/a.md", content="The code is Puffin")
    await claude.beta.memory_stores.memories.update(memory.id, memory_store_id=store, content="The code is gone")
    exports = [(await client.post("/v1/export", json={"user_id": name})).json()["id"] for name in ("ann", "bob")]
    versions = claude.beta.memory_stores.memory_versions
    await versions.redact(memory.memory_version_id, memory_store_id=store)
    state = {"Accept": "application/json"}
    found = [(await client.get(f"/v1/export/{each}", headers=state)).status_code for each in exports]
    assert (found[0], found[1] < 300) == (404, True)


async def test_metadata_that_clients_write_redacts_nothing(claude: "AsyncAnthropic", client: httpx.AsyncClient) -> None:
    store = (await claude.beta.memory_stores.create(name="Notes", metadata={"user_id": "ann"})).id
    memories, versions = claude.beta.memory_stores.memories, claude.beta.memory_stores.memory_versions
    memory = await memories.create(store, path="/a.md", content="The code is Puffin")
    planted = {"redacted_at": "yesterday", "redacted_by": 5}
    for _ in range(2):
        assert (await client.put(address_of(memory.id), json={"metadata": planted})).status_code == 200
    kept = [each async for each in versions.list(store, memory_id=memory.id, view="full")]
    assert [each.redacted_at for each in kept] == [None] * 3
    first = await versions.redact(kept[1].id, memory_store_id=store)
    assert (first.content, first.path) == (None, None)
    assert [each.path for each in [each async for each in versions.list(store)]] == ["/a.md", None, "/a.md"]
    again = await versions.redact(kept[1].id, memory_store_id=store)
    assert again == await versions.retrieve(kept[1].id, memory_store_id=store) == first
    assert (await memories.update(memory.id, memory_store_id=store, content="The code is gone")).path == "/a.md"


async def test_versions_name_their_authors(
    connect_anthropic: ConnectAnthropic, make_key: MakeKey, owner: SignedUp
) -> None:
    holder = await make_key(project=owner.project_id)
    by_key, by_person = connect_anthropic(holder.key), connect_anthropic(owner.tokens["access_token"])
    stores = by_key.beta.memory_stores
    store = (await stores.create(name="Notes", metadata={"user_id": str(owner.account_id)})).id
    memory = await stores.memories.create(store, path="/a.md", content="One")
    await by_person.beta.memory_stores.memories.update(memory.id, memory_store_id=store, content="Two")
    planted = {"metadata": {"actor": "key:1", "created_by": {"type": "user_actor", "user_id": "1"}}}
    assert (await holder.client.put(address_of(memory.id), json=planted)).status_code == 200
    versions = stores.memory_versions
    redacted = await versions.redact(memory.memory_version_id, memory_store_id=store)
    await stores.memories.delete(memory.id, memory_store_id=store)
    keys = [each["id"] for each in (await owner.client.get("/v1/api-keys")).json()["results"]]
    listed = [each async for each in versions.list(store, memory_id=memory.id)]
    authors = [each.created_by and each.created_by.to_dict() for each in listed]
    key, person = {"type": "api_actor", "api_key_id": keys[0]}, {"type": "user_actor", "user_id": str(owner.account_id)}
    assert authors == [key, None, person, key]
    assert redacted.created_by == listed[-1].created_by
    of_key = [each async for each in versions.list(store, memory_id=memory.id, api_key_id=keys[0])]
    assert [each.operation for each in of_key] == ["deleted", "created"]
    assert [each async for each in versions.list(store, memory_id=memory.id, session_id="sesn_1")] == []


async def test_user_of_a_store_is_named_in_any_letters_and_checked(
    app_url: str, key_holder: KeyHolder, connect_anthropic: ConnectAnthropic, claude: "AsyncAnthropic"
) -> None:
    headers = {b"x-api-key": key_holder.key.encode(), b"X-User-Id": "Zoë".encode()}
    async with httpx.AsyncClient(headers=headers, timeout=PATIENCE_SECONDS) as http:
        created = await http.post(f"{app_url}/v1/memory_stores", json={"name": "Notes"})
    profiles = await key_holder.client.get("/v1/profiles", params={"user_id": "Zoë"})
    assert [each["name"] for each in profiles.json()["results"]] == ["Notes"], created.text
    too_long = "a" * 501
    with pytest.raises(anthropic.BadRequestError, match="user_id"):
        await claude.beta.memory_stores.create(name="Notes", metadata={"user_id": too_long})
    with pytest.raises(anthropic.BadRequestError, match="user_id"):
        await connect_anthropic(**{"X-User-Id": too_long}).beta.memory_stores.create(name="Notes")


async def test_archived_store_can_be_read_but_not_written(claude: "AsyncAnthropic", client: httpx.AsyncClient) -> None:
    store = (await claude.beta.memory_stores.create(name="Notes")).id
    memories = claude.beta.memory_stores.memories
    memory = await memories.create(store, path="/a.md", content="One")
    archived = await claude.beta.memory_stores.archive(store)
    assert await claude.beta.memory_stores.archive(store) == archived
    with pytest.raises(anthropic.BadRequestError, match="archived"):
        await memories.create(store, path="/b.md", content="Two")
    with pytest.raises(anthropic.BadRequestError, match="archived"):
        await memories.update(memory.id, memory_store_id=store, content="Two")
    with pytest.raises(anthropic.BadRequestError, match="archived"):
        await claude.beta.memory_stores.update(store, name="Other")
    elsewhere = await client.put(address_of(memory.id), json={"text": "Two"})
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (400, "store_archived")
    assert (await memories.retrieve(memory.id, memory_store_id=store)).content == "One"
    await memories.delete(memory.id, memory_store_id=store)
    assert await paths(claude, store) == []
    assert (await claude.beta.memory_stores.delete(store)).id == store


async def test_documents_are_memories_of_their_user(claude: "AsyncAnthropic", client: httpx.AsyncClient) -> None:
    store = await claude.beta.memory_stores.create(name="Notes", metadata={"user_id": "ann"})
    await claude.beta.memory_stores.memories.create(store.id, path="/pet.md", content="The cat is called Biscuit")
    query = {"query": "What is the cat called?", "filters": {"user_id": "ann"}}
    [found] = (await client.post("/v3/memories/search/", json=query)).json()["results"]
    assert found["memory"] == "The cat is called Biscuit"
    listed = (await client.post("/v3/memories/", json={"filters": {"door": "anthropic", "user_id": "ann"}})).json()
    assert [each["source"] for each in listed["results"]] == ["assistant"]
    receipt = (await client.post("/v1/erase", json={"user_id": "ann"})).json()["receipt"]
    assert not any(receipt["left"].values())
    with pytest.raises(anthropic.NotFoundError):
        await paths(claude, store.id)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("a.md", "x"),
        ("/", "x"),
        ("/a//b", "x"),
        ("/a/../b", "x"),
        ("/a\u200eb", "x"),
        ("/e\u0301", "x"),
        ("/" + "a/" * 20 + "b", "x"),
        ("/" + "a" * 1024, "x"),
        ("/a", "x" * 102_401),
        ("/a", " "),
    ],
    ids=["relative", "empty", "empty-segment", "dots", "format", "form", "deep", "long", "large", "blank"],
)
async def test_invalid_memory_is_refused(path: str, content: str, claude: "AsyncAnthropic") -> None:
    store = (await claude.beta.memory_stores.create(name="Notes")).id
    with pytest.raises(anthropic.BadRequestError) as error:
        await claude.beta.memory_stores.memories.create(store, path=path, content=content)
    assert error.value.type == "invalid_request_error"


async def test_wrong_key_scope_project_and_id_are_refused(
    claude: "AsyncAnthropic", connect_anthropic: ConnectAnthropic, make_key: MakeKey, owner: SignedUp
) -> None:
    with pytest.raises(anthropic.AuthenticationError) as wrong:
        await connect_anthropic("ks_wrong").beta.memory_stores.create(name="Notes")
    assert wrong.value.type == "authentication_error"
    with pytest.raises(anthropic.PermissionDeniedError):
        await connect_anthropic((await make_key("profiles:read")).key).beta.memory_stores.create(name="Notes")
    store = (await claude.beta.memory_stores.create(name="Notes")).id
    memory = await claude.beta.memory_stores.memories.create(store, path="/a.md", content="One")
    other = connect_anthropic((await make_key(project=owner.project_id)).key)
    for refused in (
        other.beta.memory_stores.retrieve(store),
        other.beta.memory_stores.memories.retrieve(memory.id, memory_store_id=store),
        other.beta.memory_stores.memory_versions.redact(memory.memory_version_id, memory_store_id=store),
        claude.beta.memory_stores.retrieve("memstore_wrong"),
    ):
        with pytest.raises(anthropic.NotFoundError):
            await refused
    another = (await claude.beta.memory_stores.create(name="Another")).id
    with pytest.raises(anthropic.NotFoundError):
        await claude.beta.memory_stores.memories.retrieve(memory.id, memory_store_id=another)


async def test_rate_limit_is_a_rate_limit_error(connect_anthropic: ConnectAnthropic, resources: Resources) -> None:
    async with serve_on_loopback(with_request_limit(resources, requests=1)) as url:
        claude = connect_anthropic(url=url)
        await claude.beta.memory_stores.create(name="Notes")
        with pytest.raises(anthropic.RateLimitError) as error:
            await claude.beta.memory_stores.create(name="Notes")
        await claude.close()
    assert error.value.type == "rate_limit_error"

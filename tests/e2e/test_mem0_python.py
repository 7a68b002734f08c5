"""Both of mem0's Python clients, unchanged, over HTTP on loopback: every memory call and every error."""

import asyncio
import uuid
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from mem0 import AsyncMemoryClient
from mem0.client.types import DeleteAllMemoryOptions
from mem0.exceptions import (
    AuthenticationError,
    MemoryNotFoundError,
    NetworkError,
    RateLimitError,
    ValidationError,
)

from app.core.resources import Resources
from tests.conftest import KeyHolder, MakeKey, SignUp
from tests.e2e.loopback import with_request_limit
from tests.e2e.mem0_python import ALICE, Mem0, close, connect_client
from tests.loopback import serve_on_loopback

# ---------------------------------------------------------------- connection


async def test_client_learns_its_project_from_the_ping(mem0: Mem0) -> None:
    assert mem0.client.project_id == str(mem0.key.project_id)
    assert mem0.client.project.config.project_id == str(mem0.key.project_id)
    assert mem0.client.user_email == f"project-{mem0.key.project_id}@keepsake.invalid"


async def test_host_may_end_with_a_slash(client_class: type[Any], server_url: str, make_key: MakeKey) -> None:
    mem0 = await connect_client(client_class, f"{server_url}/", await make_key())
    await mem0.add_verbatim("Alice likes tea")
    assert await mem0.list_texts() == ["Alice likes tea"]
    await close(mem0)


async def test_wrong_key_raises_our_sentence(client_class: type[Any], server_url: str) -> None:
    with ExitStack() as stack:
        http = httpx.AsyncClient() if client_class is AsyncMemoryClient else stack.enter_context(httpx.Client())
        with pytest.raises(ValueError, match="Error: The credential is neither an access token nor an API key"):
            await asyncio.to_thread(client_class, api_key="m0-nonsense", host=server_url, client=http)


# ---------------------------------------------------------------- add


async def test_add_returns_at_once_and_its_event_lists_the_memories(mem0: Mem0) -> None:
    said = [
        {"role": "user", "content": "I am allergic to peanuts."},
        {"role": "assistant", "content": "Noted!"},
    ]
    added = await mem0("add", said, user_id="alice", metadata={"topic": "health"})
    assert added["status"] == "PENDING"
    event = await mem0.event(added["event_id"])
    assert event["status"] == "SUCCEEDED"
    assert event["event_type"] == "ADD"
    assert [(each["event"], each["data"]["memory"]) for each in event["results"]] == [
        ("ADD", "I am allergic to peanuts.")
    ]
    memory = await mem0("get", event["results"][0]["id"])
    assert memory["metadata"] == {"topic": "health"}
    assert memory["kind"] == "fact"


@pytest.mark.parametrize(
    "messages", ["I like tea", {"role": "user", "content": "I like tea"}, [{"role": "user", "content": "I like tea"}]]
)
async def test_add_takes_a_text_a_message_and_messages(mem0: Mem0, messages: object) -> None:
    added = await mem0("add", messages, infer=False, user_id="alice")
    assert added["message"] == "Memories stored successfully"
    assert added["status"] == "SUCCEEDED"
    assert [(each["event"], each["data"]) for each in added["results"]] == [("ADD", {"memory": "I like tea"})]


async def test_ids_are_accepted_as_arguments_or_inside_filters(mem0: Mem0) -> None:
    await mem0("add", "I like tea", infer=False, filters={"user_id": "alice", "run_id": "r1"})
    await mem0("add", "I like milk", infer=False, filters={"AND": [{"user_id": "alice"}, {"agent_id": "a1"}]})
    listed = (await mem0("get_all", filters=ALICE))["results"]
    assert [(row["agent_id"], row["run_id"], row["session_id"]) for row in listed] == [
        ("a1", None, None),
        (None, "r1", "r1"),
    ]


async def test_verbatim_add_keeps_user_and_assistant_but_no_system_message(mem0: Mem0) -> None:
    said = [
        {"role": "system", "content": "Be kind"},
        {"role": "user", "content": "I like tea"},
        {"role": "assistant", "content": [{"type": "text", "text": "So do I"}, {"type": "image_url"}]},
    ]
    added = await mem0("add", said, infer=False, user_id="alice")
    assert [each["data"]["memory"] for each in added["results"]] == ["I like tea", "So do I"]
    again = await mem0("add", said, infer=False, user_id="alice")
    assert [each["event"] for each in again["results"]] == ["NONE", "NONE"]
    assert len(await mem0.list_texts()) == 2


async def test_add_stores_metadata_and_options(mem0: Mem0) -> None:
    memory_id = await mem0.add_verbatim(
        "I like tea",
        agent_id="a1",
        app_id="app",
        run_id="r1",
        metadata={"deep": {"x": [1, None]}},
        expiration_date="2999-12-31",
        timestamp=1735689600,
    )
    memory = await mem0("get", memory_id)
    assert memory["metadata"] == {"deep": {"x": [1, None]}}
    assert memory["expiration_date"] == "2999-12-31"
    assert memory["created_at"] == "2025-01-01T00:00:00.000000Z"
    assert (memory["agent_id"], memory["app_id"], memory["run_id"]) == ("a1", "app", "r1")
    assert memory["profile_id"]
    assert memory["structured_attributes"] == {
        "year": 2025,
        "month": 1,
        "day": 1,
        "hour": 0,
        "minute": 0,
        "day_of_week": "wednesday",
        "week_of_year": 1,
        "day_of_year": 1,
        "quarter": 1,
        "is_weekend": False,
    }


# ---------------------------------------------------------------- read


async def test_list_pages_link_to_each_other(mem0: Mem0) -> None:
    await mem0("add", [{"role": "user", "content": f"Fact {n}"} for n in range(5)], infer=False, user_id="alice")
    first = await mem0("get_all", filters=ALICE, page=1, page_size=2)
    assert first["count"] == 5
    assert first["previous"] is None
    assert first["next"].startswith(f"{mem0.url}/v3/memories/?")
    seen = [row["id"] for row in first["results"]]
    for page in (2, 3):
        seen += [row["id"] for row in (await mem0("get_all", filters=ALICE, page=page, page_size=2))["results"]]
    assert len(set(seen)) == 5
    last = await mem0("get_all", filters=ALICE, page=3, page_size=2)
    assert last["next"] is None
    assert "page=2" in last["previous"]


async def test_list_applies_filters(mem0: Mem0) -> None:
    await mem0.add_verbatim("I like tea", metadata={"topic": "drink"}, timestamp=1735689600)
    await mem0.add_verbatim("I hike", run_id="r1", expiration_date="2020-01-01")
    assert await mem0.list_texts(user_id="alice", metadata={"topic": "drink"}) == ["I like tea"]
    assert await mem0.list_texts(user_id="alice") == ["I like tea"]
    shown = await mem0("get_all", filters={"AND": [ALICE, {"run_id": "r1"}]}, show_expired=True, fields=["memory"])
    assert shown["results"] == [{"memory": "I hike"}]
    old = await mem0("get_all", filters=ALICE, start_date="2025-01-01", end_date="2025-01-01")
    assert [row["memory"] for row in old["results"]] == ["I like tea"]
    assert await mem0.list_texts(user_id="nobody") == []


async def test_search_finds_by_meaning_with_a_score(mem0: Mem0) -> None:
    for text in ("I am allergic to peanuts", "I work as a carpenter", "My sister lives in Oslo"):
        await mem0.add_verbatim(text)
    found = await mem0("search", "What can she not eat?", filters=ALICE, top_k=1, threshold=0.0, explain=True)
    assert [row["memory"] for row in found["results"]] == ["I am allergic to peanuts"]
    assert 0 < found["results"][0]["score"] <= 1
    assert found["results"][0]["score_breakdown"]
    options = {"rerank": True, "fields": ["memory", "score"], "keyword_search": True, "reference_date": "2030-01-01"}
    again = await mem0("search", "carpenter", filters=ALICE, limit=1, threshold=0, **options)
    assert again["results"][0].keys() == {"memory", "score"}
    assert again["results"][0]["memory"] == "I work as a carpenter"
    nothing = {"results": [], "answerable": False, "by_meaning": True}
    assert await mem0("search", "carpenter", filters={"user_id": "nobody"}) == nothing


async def test_history_is_a_bare_list_in_order(mem0: Mem0) -> None:
    memory_id = await mem0.add_verbatim("I like tea", metadata={"topic": "drink"}, run_id="r1")
    changed = await mem0("update", memory_id, text="I like coffee")
    assert changed["memory"] == "I like coffee"
    assert changed["metadata"] == {"topic": "drink"}
    history = await mem0("history", memory_id)
    assert [(row["event"], row["old_memory"], row["new_memory"]) for row in history] == [
        ("ADD", None, "I like tea"),
        ("UPDATE", "I like tea", "I like coffee"),
    ]
    assert history[0]["input"] == [{"role": "user", "content": "I like tea"}]
    assert history[0]["session_id"] == history[0]["run_id"] == "r1"


async def test_summary_consists_of_the_memories(mem0: Mem0) -> None:
    await mem0.add_verbatim("I like tea")
    assert (await mem0("get_summary", filters=ALICE))["summary"] == "- I like tea"
    assert (await mem0("get_summary"))["count"] == 1


# ---------------------------------------------------------------- change and delete


async def test_expiration_date_can_be_set_and_removed(mem0: Mem0) -> None:
    memory_id = await mem0.add_verbatim("I like tea")
    assert (await mem0("update", memory_id, expiration_date="2020-01-01"))["expiration_date"] == "2020-01-01"
    assert await mem0.list_texts() == []
    assert (await mem0("get", memory_id))["memory"] == "I like tea"
    assert (await mem0("update", memory_id, expiration_date=None))["expiration_date"] is None
    assert await mem0.list_texts() == ["I like tea"]


async def test_deleted_memory_is_gone_everywhere(mem0: Mem0) -> None:
    memory_id = await mem0.add_verbatim("I like tea")
    assert (await mem0("delete", memory_id)) == {"message": "Memory deleted successfully!"}
    assert await mem0.list_texts() == []
    assert "tea" not in str(await mem0("history", memory_id))
    with pytest.raises(MemoryNotFoundError):
        await mem0("get", memory_id)
    linked = await mem0("delete", await mem0.add_verbatim("I hike"), delete_linked=True)
    assert linked == {"message": "Memory deleted successfully!", "cascade_count": 0}


async def test_delete_all_combines_its_ids(mem0: Mem0) -> None:
    await mem0.add_verbatim("Only hers")
    await mem0.add_verbatim("Hers in the run", run_id="r1")
    await mem0.add_verbatim("His in the run", user_id="bob", run_id="r1")
    gone = await mem0("delete_all", user_id="alice", run_id="r1")
    assert gone["message"] == "Memories deleted successfully!"
    assert (await mem0.event(gone["event_id"]))["event_type"] == "DELETE_ALL"
    assert await mem0.list_texts() == ["Only hers"]
    assert await mem0.list_texts(user_id="bob") == ["His in the run"]


async def test_delete_all_reads_the_filters_of_this_client(mem0: Mem0) -> None:
    await mem0.add_verbatim("Only hers", metadata={"topic": "drink"})
    await mem0.add_verbatim("Hers too")
    await mem0.add_verbatim("His", user_id="bob")
    await mem0("delete_all", options=DeleteAllMemoryOptions(filters=ALICE), metadata={"topic": "drink"})
    assert await mem0.list_texts() == ["Hers too"]
    await mem0("delete_all", options=DeleteAllMemoryOptions(filters=ALICE))
    assert await mem0.list_texts() == []
    assert await mem0.list_texts(user_id="bob") == ["His"]
    await mem0("delete_all", user_id="*")
    assert await mem0.list_texts(user_id="bob") == []


@pytest.mark.parametrize("scope", [{}, {"filters": "nonsense"}, {"metadata": "{'topic': 'drink'}"}, {"userid": "x"}])
async def test_delete_all_without_a_readable_scope_deletes_nothing(mem0: Mem0, scope: dict[str, str]) -> None:
    await mem0.add_verbatim("I like tea", metadata={"topic": "drink"})
    with pytest.raises(ValidationError) as refused:
        await mem0("delete_all", **scope)
    assert refused.value.error_code == "HTTP_400"
    assert await mem0.list_texts() == ["I like tea"]


async def test_batch_update_and_delete_are_all_or_nothing(mem0: Mem0) -> None:
    ids = [await mem0.add_verbatim(f"Fact {n}", metadata={"n": n}) for n in range(3)]
    changes = [{"memory_id": each, "text": f"Changed {n}"} for n, each in enumerate(ids)]
    assert await mem0("batch_update", changes) == {"message": "Successfully updated 3 memories"}
    assert sorted(await mem0.list_texts()) == ["Changed 0", "Changed 1", "Changed 2"]
    assert (await mem0("get", ids[2]))["metadata"] == {"n": 2}
    stranger = {"memory_id": str(uuid.uuid4()), "text": "x"}
    with pytest.raises(MemoryNotFoundError):
        await mem0("batch_update", [{"memory_id": ids[0], "text": "Half"}, stranger])
    with pytest.raises(MemoryNotFoundError):
        await mem0("batch_delete", [{"memory_id": ids[0]}, stranger])
    assert len(await mem0.list_texts()) == 3
    assert "Half" not in await mem0.list_texts()
    with pytest.raises(ValidationError):
        await mem0("batch_delete", [{"memory_id": str(uuid.uuid4())} for _ in range(1001)])
    assert await mem0("batch_delete", [{"memory_id": each} for each in ids]) == {
        "message": "Successfully deleted 3 memories"
    }
    assert await mem0.list_texts() == []


async def test_feedback_can_be_given_changed_and_withdrawn(mem0: Mem0) -> None:
    memory_id = await mem0.add_verbatim("I like tea")
    given = await mem0("feedback", memory_id, feedback="POSITIVE", feedback_reason="True")
    assert (given["feedback"], given["feedback_reason"]) == ("POSITIVE", "True")
    again = await mem0("feedback", memory_id, feedback="VERY_NEGATIVE")
    assert (again["id"], again["feedback"]) == (given["id"], "VERY_NEGATIVE")
    assert (await mem0("feedback", memory_id))["feedback"] is None
    with pytest.raises(MemoryNotFoundError):
        await mem0("feedback", str(uuid.uuid4()), feedback="POSITIVE")
    with pytest.raises(ValidationError):
        await mem0("feedback", "nonsense", feedback="POSITIVE")


# ---------------------------------------------------------------- entities


async def test_entities_have_a_memory_count(mem0: Mem0) -> None:
    await mem0.add_verbatim("I like tea", agent_id="a1", app_id="app", run_id="r1")
    await mem0.add_verbatim("I hike")
    users = await mem0("users")
    assert {(row["type"], row["name"], row["total_memories"]) for row in users["results"]} == {
        ("user", "alice", 2),
        ("agent", "a1", 1),
        ("app", "app", 1),
        ("run", "r1", 1),
    }
    assert (users["count"], users["total_users"], users["next"]) == (4, 1, None)


@pytest.mark.parametrize("name", ["alice", "team/alice", "ålice & co?", "%2F"])
async def test_entities_with_unusual_names_can_be_deleted(mem0: Mem0, name: str) -> None:
    await mem0.add_verbatim("I like tea", user_id=name)
    await mem0.add_verbatim("His", user_id="bob")
    assert "message" in await mem0("delete_users", user_id=name)
    assert await mem0.list_texts(user_id=name) == []
    assert [row["name"] for row in (await mem0("users"))["results"]] == ["bob"]


async def test_reset_deletes_every_entity(mem0: Mem0) -> None:
    await mem0.add_verbatim("I like tea", agent_id="a1", run_id="r1")
    await mem0.add_verbatim("His", user_id="bob")
    # The client deletes the listed entities one by one: agent and run are already gone with alice.
    await mem0("reset")
    assert (await mem0("users"))["count"] == 0
    with pytest.raises(ValueError, match="No entities to delete"):
        await mem0("delete_users")


# ---------------------------------------------------------------- profiles and people


async def test_profiles_do_not_mix(mem0: Mem0) -> None:
    await mem0.add_verbatim("At home")
    made = await mem0.key.client.post("/v1/profiles", json={"name": "Work", "user_id": "alice"})
    work = made.json()["id"]
    await mem0.add_verbatim("At work", profile_id=work)
    assert await mem0.list_texts() == ["At home"]
    for choice, expected in ((work, {"At work"}), ("*", {"At home", "At work"})):
        listed = await mem0("get_all", filters=ALICE, profile_id=choice)
        assert {row["memory"] for row in listed["results"]} == expected
        found = await mem0("search", "At", filters=ALICE, profile_id=choice, threshold=0)
        assert {row["memory"] for row in found["results"]} == expected
    assert [row["profile_id"] for row in (await mem0("get_all", filters=ALICE, profile_id=work))["results"]] == [work]
    await mem0("delete_all", user_id="alice")
    assert {row["memory"] for row in (await mem0("get_all", filters=ALICE, profile_id="*"))["results"]} == {"At work"}


async def test_reading_does_not_create_entities(mem0: Mem0) -> None:
    await mem0("get_all", filters={"user_id": "ghost"})
    await mem0("search", "tea", filters={"user_id": "ghost"})
    assert (await mem0("users"))["count"] == 0


async def test_signed_in_user_has_memories_of_their_own(
    client_class: type[Any], server_url: str, sign_up: SignUp
) -> None:
    ana = await sign_up()
    token = ana.tokens["access_token"]
    mem0 = await connect_client(client_class, server_url, KeyHolder(ana.client, ana.project_id, token))
    assert mem0.client.user_email == ana.email
    await mem0("add", "I like tea", infer=False)
    listed = await mem0("get_all")
    assert [row["user_id"] for row in listed["results"]] == [str(ana.account_id)]
    assert [row["memory"] for row in (await mem0("search", "tea", threshold=0))["results"]] == ["I like tea"]
    await close(mem0)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("method", ["get", "delete", "history"])
async def test_malformed_id_is_400_and_unknown_id_is_404(mem0: Mem0, method: str) -> None:
    for nonsense in ("nonsense", "a/b", "..%2f"):
        with pytest.raises(ValidationError) as malformed:
            await mem0(method, nonsense)
        assert malformed.value.error_code == "HTTP_400"
    with pytest.raises(MemoryNotFoundError) as unknown:
        await mem0(method, str(uuid.uuid4()))
    assert unknown.value.error_code == "HTTP_404"
    assert unknown.value.message.startswith("There is no memory")


async def test_memory_of_another_project_is_404(mem0: Mem0, sign_up: SignUp) -> None:
    ana = await sign_up()
    said = {"messages": "I like tea", "infer": False}
    theirs = (await ana.client.post("/v3/memories/add/", json=said)).json()["results"][0]["id"]
    for method in ("get", "delete", "history"):
        with pytest.raises(MemoryNotFoundError):
            await mem0(method, theirs)


async def test_errors_reach_the_client_as_our_sentences(mem0: Mem0) -> None:
    fixed = await mem0.add_verbatim("I like tea", immutable=True)
    refusals: list[tuple[str, tuple[str, ...], dict[str, Any], str]] = [
        ("update", (fixed,), {"text": "x"}, "stored as immutable"),
        ("update", (fixed,), {"metadata": {"bad": "\0"}}, "NUL"),
        ("add", ("hi",), {}, "This memory has no owner"),
        ("add", ("hi",), {"user_id": "a", "filters": {"user_id": "b"}}, "one user_id"),
        ("add", ("hi",), {"user_id": "a", "expiration_date": "soon"}, "expiration_date"),
        ("add", ("",), {"user_id": "a"}, "nothing to remember"),
        ("get_all", (), {}, "Filters must name"),
        ("get_all", (), {"filters": {"colour": "red"}}, "Unknown filter field"),
        ("get_all", (), {"filters": {"NOT": ALICE}}, "not only inside a NOT"),
        ("get_all", (), {"filters": ALICE, "page": 0}, "`page` starts at 1"),
        ("get_all", (), {"filters": ALICE, "page_size": 1001}, "between 1 and 1000"),
        ("search", ("x",), {"filters": ALICE, "top_k": 0}, "top_k"),
        ("search", ("x",), {"filters": ALICE, "top_k": 1001}, "top_k"),
        ("search", ("x",), {"filters": ALICE, "project_id": "another"}, "No such project"),
    ]
    for method, args, more, sentence in refusals:
        with pytest.raises((ValidationError, MemoryNotFoundError)) as refused:
            await mem0(method, *args, **more)
        assert sentence in refused.value.message
        assert refused.value.details["detail"] == refused.value.message
        assert refused.value.error_code in ("HTTP_400", "HTTP_404")


async def test_key_without_scope_raises_authentication_error(
    client_class: type[Any], server_url: str, make_key: MakeKey
) -> None:
    mem0 = await connect_client(client_class, server_url, await make_key("memories:read"))
    with pytest.raises(AuthenticationError) as refused:
        await mem0.add_verbatim("I like tea")
    assert refused.value.error_code == "HTTP_403"
    assert "memories:write" in refused.value.message
    await close(mem0)


async def test_rate_limit_error_carries_retry_after(
    client_class: type[Any], resources: Resources, make_key: MakeKey
) -> None:
    async with serve_on_loopback(with_request_limit(resources, requests=2)) as url:
        mem0 = await connect_client(client_class, url, await make_key())
        assert await mem0.list_texts() == []
        with pytest.raises(RateLimitError) as refused:
            await mem0.list_texts()
        await close(mem0)
    debug = refused.value.debug_info
    assert 0 < debug["retry_after"] <= 3600
    assert (debug["x_ratelimit_limit"], debug["x_ratelimit_remaining"]) == ("2", "0")
    assert refused.value.error_code == "HTTP_429"


async def test_unreachable_server_raises_network_error(
    client_class: type[Any], app: FastAPI, make_key: MakeKey
) -> None:
    async with serve_on_loopback(app) as url:
        mem0 = await connect_client(client_class, url, await make_key())
    with pytest.raises(NetworkError) as away:
        await mem0.list_texts()
    assert away.value.error_code == "NET_CONNECT"
    await close(mem0)

"""Every tool, used by the client of the `mcp` package in both eras of the protocol."""

import json
import uuid

import pytest
from mcp.types import Tool

from app.gateways.mcp.tools import TOOLS
from tests.conftest import KeyHolder, MakeKey, SignedUp
from tests.gateways.mcp.conftest import ERAS, ConnectMcp, refusal, use

MEM0_TOOLS = {
    "add_memory": {"text", "messages", "user_id", "agent_id", "app_id", "run_id", "metadata", "enable_graph"},
    "search_memories": {"query", "filters", "limit", "enable_graph"},
    "get_memories": {"filters", "page", "page_size", "enable_graph"},
    "get_memory": {"memory_id"},
    "update_memory": {"memory_id", "text"},
    "delete_memory": {"memory_id"},
    "delete_all_memories": {"user_id", "agent_id", "app_id", "run_id"},
    "delete_entities": {"user_id", "agent_id", "app_id", "run_id"},
    "list_entities": set[str](),
    "list_events": set[str](),
    "get_event_status": {"event_id"},
}
each_era = pytest.mark.parametrize("era", ERAS)


async def list_tools(connect_mcp: ConnectMcp, key: str) -> dict[str, Tool]:
    async with connect_mcp(key) as client:
        return {tool.name: tool for tool in (await client.list_tools()).tools}


async def test_tools_have_mem0s_names_and_arguments(connect_mcp: ConnectMcp, key_holder: KeyHolder) -> None:
    tools = await list_tools(connect_mcp, key_holder.key)
    for name, arguments in MEM0_TOOLS.items():
        assert arguments <= tools[name].input_schema.get("properties", {}).keys(), name


def test_no_argument_is_repeated_in_a_header() -> None:
    """The server does not compare `Mcp-Param-*` headers with arguments, which it would have to do otherwise."""
    assert "x-mcp-header" not in json.dumps([tool.schema for tool in TOOLS])


async def test_annotations_name_what_reads_and_what_deletes(connect_mcp: ConnectMcp, key_holder: KeyHolder) -> None:
    tools = await list_tools(connect_mcp, key_holder.key)
    hints = {name: tool.annotations for name, tool in tools.items() if tool.annotations}
    assert hints.keys() == tools.keys()
    reading = {name for name, hint in hints.items() if hint.read_only_hint}
    assert reading == {
        *("search_memories", "get_memories", "get_memory", "list_entities", "list_events", "get_event_status"),
        *("list_profiles", "get_privacy_mode"),
    }
    destructive = {name for name, hint in hints.items() if hint.destructive_hint}
    assert destructive == {
        *("update_memory", "delete_memory", "delete_all_memories", "delete_entities", "update_profile", "forget"),
    }


@each_era
async def test_memories_are_added_found_changed_and_deleted(
    connect_mcp: ConnectMcp, key_holder: KeyHolder, era: str
) -> None:
    async with connect_mcp(key_holder.key, era) as client:
        added = await use(client, "add_memory", text="I like green tea", user_id="ann", infer=False)
        memory_id = added["results"][0]["id"]
        found = await use(client, "search_memories", query="green tea", filters={"user_id": "ann"})
        assert [each["id"] for each in found["results"]] == [memory_id]
        assert found["answerable"] is True
        assert found["results"][0]["door"] == "mcp"
        changed = await use(client, "update_memory", memory_id=memory_id, text="I like black tea")
        assert changed["memory"] == "I like black tea"
        assert (await use(client, "get_memory", memory_id=memory_id))["memory"] == "I like black tea"
        await use(client, "add_memory", messages=[{"content": "I live in Oslo"}], user_id="ann", infer=False)
        first = await use(client, "get_memories", user_id="ann", page_size=1)
        assert (first["count"], first["next_page"]) == (2, 2)
        last = await use(client, "get_memories", user_id="ann", page_size=1, page=2)
        assert (last["results"][0]["id"], last["next_page"]) == (memory_id, None)
        await use(client, "delete_memory", memory_id=memory_id)
        assert (await refusal(client, "get_memory", memory_id=memory_id))["code"] == "not_found"
        await use(client, "delete_all_memories", user_id="ann")
        assert (await use(client, "get_memories", filters={"user_id": "ann"}))["count"] == 0


async def test_entities_and_events_are_listed_and_erased(connect_mcp: ConnectMcp, key_holder: KeyHolder) -> None:
    async with connect_mcp(key_holder.key) as client:
        pending = await use(client, "add_memory", text="I like tea", user_id="ann", metadata={"source": "chat"})
        event = await use(client, "get_event_status", event_id=pending["event_id"])
        assert event["status"] in ("PENDING", "RUNNING", "SUCCEEDED")
        await use(client, "add_memory", text="I like tea", agent_id="bot", infer=False)
        assert {each["name"] for each in (await use(client, "list_entities"))["results"]} == {"bot"}
        events = await use(client, "list_events", event_type="add", page_size=1)
        assert (events["count"], events["next_page"]) == (2, 2)
        await use(client, "delete_entities", agent_id="bot")
        assert (await use(client, "list_entities"))["results"] == []
        assert "at least one" in (await refusal(client, "delete_entities"))["detail"]


async def test_extraction_through_mcp_names_the_door(
    connect_mcp: ConnectMcp, key_holder: KeyHolder, server_url: str
) -> None:
    async with connect_mcp(key_holder.key) as client:
        event_id = (await use(client, "add_memory", text="My sister lives in Porto.", user_id="ann"))["event_id"]
        while (event := await use(client, "get_event_status", event_id=event_id))["status"] != "SUCCEEDED":
            assert event["status"] in ("PENDING", "RUNNING"), event
        listed = await use(client, "get_memories", user_id="ann")
    assert {each["door"] for each in listed["results"]} == {"mcp"}


async def test_profiles_are_created_and_keep_memories_apart(connect_mcp: ConnectMcp, key_holder: KeyHolder) -> None:
    async with connect_mcp(key_holder.key, headers={"X-Keepsake-User-Id": "ann"}) as client:
        work = await use(client, "create_profile", name="Work")
        await use(client, "update_profile", profile_id=work["id"], persona="You are brief.")
        assert (await use(client, "set_default_profile", profile_id=work["id"]))["is_default"] is True
        home = await use(client, "create_profile", name="Home")
        await use(client, "add_memory", text="The deadline is Friday", infer=False)
        assert (await use(client, "get_memories"))["count"] == 1
        assert (await use(client, "get_memories", profile_id=home["id"]))["count"] == 0
        assert {each["name"] for each in (await use(client, "list_profiles"))["results"]} == {"Work", "Home"}


async def test_a_signed_in_account_acts_for_itself(connect_mcp: ConnectMcp, owner: SignedUp) -> None:
    async with connect_mcp(owner.tokens["access_token"]) as client:
        await use(client, "add_memory", text="I like tea", infer=False)
        (memory,) = (await use(client, "get_memories"))["results"]
        assert memory["user_id"] == str(owner.account_id)


async def test_errors_say_what_to_change(connect_mcp: ConnectMcp, key_holder: KeyHolder) -> None:
    async with connect_mcp(key_holder.key) as client:
        unknown = await refusal(client, "add_memory", text="x", user_id="ann", privacyMode="incognito")
        assert unknown["detail"] == "add_memory has no argument `privacyMode`. Did you mean `privacy_mode`?"
        assert unknown["code"] == "invalid_request"
        assert unknown["request_id"]
        assert "`query`" in (await refusal(client, "search_memories", user_id="ann"))["detail"]
        assert "no owner" in (await refusal(client, "add_memory", text="x", infer=False))["detail"]
        assert "nothing to remember" in (await refusal(client, "add_memory", user_id="ann"))["detail"]
        assert "UUID" in (await refusal(client, "get_memory", memory_id="seven"))["detail"]
        assert (await refusal(client, "get_memory", memory_id=str(uuid.uuid4())))["code"] == "not_found"
        assert "at least one" in (await refusal(client, "delete_all_memories"))["detail"]


async def test_a_scope_that_is_missing_hides_and_refuses_the_tools(connect_mcp: ConnectMcp, make_key: MakeKey) -> None:
    reader = await make_key("memories:read")
    tools = await list_tools(connect_mcp, reader.key)
    assert tools.keys() == {
        *("search_memories", "get_memories", "get_memory", "list_entities", "list_events", "get_event_status"),
    }
    async with connect_mcp(reader.key) as client:
        refused = await refusal(client, "add_memory", text="x", user_id="ann")
    assert refused["code"] == "forbidden"
    assert "memories:write" in refused["detail"]


async def test_another_projects_memory_is_not_found(
    connect_mcp: ConnectMcp, key_holder: KeyHolder, owner: SignedUp
) -> None:
    async with connect_mcp(key_holder.key) as client:
        added = await use(client, "add_memory", text="I like tea", user_id="ann", infer=False)
        profile = (await use(client, "list_profiles", user_id="ann"))["results"][0]["id"]
    memory_id = added["results"][0]["id"]
    async with connect_mcp(owner.tokens["access_token"]) as stranger:
        for tool in ("get_memory", "delete_memory"):
            assert (await refusal(stranger, tool, memory_id=memory_id))["code"] == "not_found"
        assert (await refusal(stranger, "update_memory", memory_id=memory_id, text="x"))["code"] == "not_found"
        assert (await refusal(stranger, "update_profile", profile_id=profile, name="x"))["code"] == "not_found"
        assert (await use(stranger, "search_memories", query="tea"))["results"] == []

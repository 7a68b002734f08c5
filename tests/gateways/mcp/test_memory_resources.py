import json
import uuid

import pytest
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp.types import TextResourceContents

from tests.conftest import KeyHolder, SignedUp
from tests.gateways.mcp.conftest import ERAS, ConnectMcp, Json, use

USER = {"X-Keepsake-User-Id": "ann"}


async def read(client: Client, uri: str) -> Json:
    (contents,) = (await client.read_resource(uri)).contents
    assert isinstance(contents, TextResourceContents)
    document: Json = json.loads(contents.text)
    return document


@pytest.mark.parametrize("era", ERAS)
async def test_profiles_and_memories_are_resources(connect_mcp: ConnectMcp, key_holder: KeyHolder, era: str) -> None:
    async with connect_mcp(key_holder.key, era, headers=USER) as client:
        added = await use(client, "add_memory", text="I like tea", infer=False)
        memory_id = added["results"][0]["id"]
        listed = [str(each.uri) for each in (await client.list_resources()).resources]
        assert listed[0] == "keepsake://profiles"
        (profile,) = (await read(client, "keepsake://profiles"))["results"]
        assert listed[1:] == [f"keepsake://profiles/{profile['id']}/memories"]
        assert (await read(client, f"keepsake://profiles/{profile['id']}"))["name"] == "Default"
        assert (await read(client, listed[1]))["results"][0]["memory"] == "I like tea"
        assert (await read(client, f"keepsake://memories/{memory_id}"))["memory"] == "I like tea"
        templates = (await client.list_resource_templates()).resource_templates
        assert len(templates) == 3
        (prompt,) = (await client.list_prompts()).prompts
        assert "search_memories" in str((await client.get_prompt(prompt.name)).messages)


async def test_a_resource_that_is_unknown_or_private_is_refused(
    connect_mcp: ConnectMcp, key_holder: KeyHolder, owner: SignedUp
) -> None:
    async with connect_mcp(key_holder.key, headers=USER) as client:
        added = await use(client, "add_memory", text="I like tea", infer=False)
    uri = f"keepsake://memories/{added['results'][0]['id']}"
    incognito = connect_mcp(key_holder.key, headers={**USER, "X-Keepsake-Privacy-Mode": "incognito"})
    async with incognito as client, connect_mcp(owner.tokens["access_token"]) as stranger:
        for who, wanted in (
            (client, uri),
            (stranger, uri),
            (client, f"keepsake://memories/{uuid.uuid4()}"),
            (client, "keepsake://nothing"),
            (client, "file:///etc/passwd"),
        ):
            with pytest.raises(MCPError) as raised:
                await who.read_resource(wanted)
            assert raised.value.error.data["code"] in ("not_found", "private")

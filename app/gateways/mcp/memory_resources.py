"""Profiles and memories as resources, which a person attaches to a conversation in the client."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from fastapi.security import SecurityScopes
from pydantic_core import to_json

from app.core.errors import NotFound
from app.gateways.mcp.arguments import GetMemoriesArguments, ListProfilesArguments, PrivateArguments
from app.gateways.mcp.call import ToolCall
from app.gateways.mcp.memory_tools import get_memories
from app.gateways.mcp.profile_tools import load_profiles, render_profiles
from app.gateways.mem0.memories.read import read_memory
from app.identity.caller import check_scopes
from app.identity.scopes import Scope
from app.identity.transaction import caller_transaction
from app.profiles import routes as profiles
from app.profiles.schemas import ProfileRead

PROFILES = "keepsake://profiles"
ID = "[0-9a-fA-F-]{36}"
PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class ListedResource:
    uri: str
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class ResourceKind:
    template: str
    name: str
    description: str
    pattern: re.Pattern[str]
    scope: Scope
    read: Callable[[ToolCall, UUID], Awaitable[bytes]]


async def list_resources(call: ToolCall, cursor: str | None) -> tuple[list[ListedResource], str | None]:
    """The profiles of the user of this connection. A key that acts for no certain user has templates only."""
    is_user_known = call.caller.account_id is not None or call.defaults.user_id is not None
    if not is_user_known or Scope.PROFILES_READ not in call.caller.scopes:
        return [], None
    page = await load_profiles(call, ListProfilesArguments(limit=PAGE_SIZE, cursor=cursor))
    first = [] if cursor else [ListedResource(PROFILES, "Profiles", "The profiles of this user.")]
    return [
        *first,
        *(
            ListedResource(
                f"{PROFILES}/{row.id}/memories", f"Memories: {row.name}", row.description or "What is remembered."
            )
            for row in page.results
        ),
    ], page.next


async def read_resource(call: ToolCall, uri: str) -> bytes:
    if uri == PROFILES:
        check_scopes(call.caller, SecurityScopes([Scope.PROFILES_READ]))
        return to_json(render_profiles(await load_profiles(call, ListProfilesArguments(limit=PAGE_SIZE))))
    for kind in KINDS:
        if match := kind.pattern.fullmatch(uri):
            check_scopes(call.caller, SecurityScopes([kind.scope]))
            return await kind.read(call, _read_id(match[1]))
    raise NotFound("There is no such resource. See resources/list and resources/templates/list.")


def _read_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no such resource: its id is not a UUID.") from None


async def _read_profile(call: ToolCall, profile_id: UUID) -> bytes:
    async with caller_transaction(call.resources.database, call.caller) as tx:
        row = await profiles.get_profile(profile_id, call.caller, tx)
        return ProfileRead.model_validate(row).model_dump_json().encode()


async def _read_memories(call: ToolCall, profile_id: UUID) -> bytes:
    await call.require_reading(PrivateArguments())
    async with caller_transaction(call.resources.database, call.caller) as tx:
        owner = (await profiles.get_profile(profile_id, call.caller, tx)).user_id
    arguments = GetMemoriesArguments(user_id=owner, profile_id=profile_id, page_size=PAGE_SIZE)
    memories = await get_memories(call, arguments)
    return memories if isinstance(memories, bytes) else to_json(memories)


async def _read_memory(call: ToolCall, memory_id: UUID) -> bytes:
    await call.require_reading(PrivateArguments())
    async with caller_transaction(call.resources.database, call.caller) as tx:
        return to_json(await read_memory(tx, call.caller, memory_id))


KINDS = (
    ResourceKind(
        f"{PROFILES}/{{profile_id}}",
        "Profile",
        "One profile: its name, description and persona.",
        re.compile(rf"{PROFILES}/({ID})"),
        Scope.PROFILES_READ,
        _read_profile,
    ),
    ResourceKind(
        f"{PROFILES}/{{profile_id}}/memories",
        "Memories of a profile",
        f"The newest {PAGE_SIZE} memories of one profile.",
        re.compile(rf"{PROFILES}/({ID})/memories"),
        Scope.MEMORIES_READ,
        _read_memories,
    ),
    ResourceKind(
        "keepsake://memories/{memory_id}",
        "Memory",
        "One memory.",
        re.compile(rf"keepsake://memories/({ID})"),
        Scope.MEMORIES_READ,
        _read_memory,
    ),
)

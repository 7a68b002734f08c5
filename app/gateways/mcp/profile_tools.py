"""Tools for profiles, and for sessions with their privacy mode. Each calls the function of the own route."""

from pydantic import BaseModel

from app.core.database.pagination import PageRows
from app.gateways.mcp.arguments import (
    CreateProfileArguments,
    GetPrivacyModeArguments,
    ListProfilesArguments,
    SetDefaultProfileArguments,
    SetPrivacyModeArguments,
    StartSessionArguments,
    UpdateProfileArguments,
)
from app.gateways.mcp.call import ToolCall
from app.gateways.mcp.tool import AnyTool, Tool, ToolResult
from app.gateways.mem0.responses import JsonObject
from app.identity.scopes import Scope
from app.identity.transaction import caller_transaction
from app.profiles import routes as profiles
from app.profiles.models import Profile
from app.profiles.schemas import ProfileCreate, ProfilePatch, ProfileRead
from app.sessions import routes as sessions
from app.sessions.schemas import SessionCreate, SessionPatch, SessionRead


async def list_profiles(call: ToolCall, given: ListProfilesArguments) -> ToolResult:
    return render_profiles(await load_profiles(call, given))


async def load_profiles(call: ToolCall, given: ListProfilesArguments) -> PageRows[Profile]:
    async with caller_transaction(call.resources.database, call.caller) as tx:
        return await profiles.list_profiles(call.caller, tx, call.user(given.user_id), given.limit, given.cursor)


def render_profiles(page: PageRows[Profile]) -> JsonObject:
    return {"results": [_render(ProfileRead, row) for row in page.results], "next": page.next}


async def create_profile(call: ToolCall, given: CreateProfileArguments) -> ToolResult:
    body = ProfileCreate(**{**dict(given), "user_id": call.user(given.user_id)})
    async with caller_transaction(call.resources.database, call.caller) as tx:
        return _render(ProfileRead, await profiles.create_profile(body, call.caller, tx))


async def update_profile(call: ToolCall, given: UpdateProfileArguments) -> ToolResult:
    body = ProfilePatch(**given.model_dump(exclude={"profile_id"}, exclude_unset=True))
    async with caller_transaction(call.resources.database, call.caller) as tx:
        return _render(ProfileRead, await profiles.change_profile(given.profile_id, body, call.caller, tx))


async def set_default_profile(call: ToolCall, given: SetDefaultProfileArguments) -> ToolResult:
    async with caller_transaction(call.resources.database, call.caller) as tx:
        return _render(ProfileRead, await profiles.make_default(given.profile_id, call.caller, tx))


async def start_session(call: ToolCall, given: StartSessionArguments) -> ToolResult:
    chosen = {"user_id": call.user(given.user_id), "profile_id": given.profile_id or call.defaults.profile_id}
    body = SessionCreate(**{**dict(given), **chosen})
    async with caller_transaction(call.resources.database, call.caller) as tx:
        return _render(SessionRead, await sessions.create_session(body, call.caller, tx))


async def get_privacy_mode(call: ToolCall, given: GetPrivacyModeArguments) -> ToolResult:
    async with caller_transaction(call.resources.database, call.caller) as tx:
        session = await sessions.get_session(given.session_id, call.caller, tx)
    return {"session_id": session.id, "privacy_mode": session.privacy_mode}


async def set_privacy_mode(call: ToolCall, given: SetPrivacyModeArguments) -> ToolResult:
    change = SessionPatch(privacy_mode=given.privacy_mode)
    session = await sessions.change_session(given.session_id, change, call.caller, call.resources)
    return {"session_id": session.id, "privacy_mode": session.privacy_mode}


def _render(model: type[BaseModel], row: object) -> JsonObject:
    return model.model_validate(row).model_dump(mode="json")


PROFILE_TOOLS: tuple[AnyTool, ...] = (
    Tool(
        "list_profiles",
        "List profiles",
        "Lists the profiles of a user: named sets of memories that are kept apart, such as work and home.",
        ListProfilesArguments,
        Scope.PROFILES_READ,
        list_profiles,
    ),
    Tool(
        "create_profile",
        "Create a profile",
        "Creates a profile. The first one of a user becomes the default.",
        CreateProfileArguments,
        Scope.PROFILES_WRITE,
        create_profile,
    ),
    Tool(
        "update_profile",
        "Change a profile",
        "Changes the name, the description or the persona of a profile.",
        UpdateProfileArguments,
        Scope.PROFILES_WRITE,
        update_profile,
        destructive=True,
        idempotent=True,
    ),
    Tool(
        "set_default_profile",
        "Choose the default profile",
        "Makes a profile the default: calls that name no profile use it from now on.",
        SetDefaultProfileArguments,
        Scope.PROFILES_WRITE,
        set_default_profile,
        idempotent=True,
    ),
    Tool(
        "start_session",
        "Start a session",
        "Starts a session with a privacy mode. Send its id as session_id: in pause_memories nothing new is stored, and"
        " in incognito memories are neither read nor stored.",
        StartSessionArguments,
        Scope.SESSIONS_WRITE,
        start_session,
    ),
    Tool(
        "get_privacy_mode",
        "Get the privacy mode",
        "Returns the privacy mode of a session: normal, pause_memories or incognito.",
        GetPrivacyModeArguments,
        Scope.SESSIONS_READ,
        get_privacy_mode,
    ),
    Tool(
        "set_privacy_mode",
        "Set the privacy mode",
        "Changes the privacy mode of a session. Pausing also cancels what is still being extracted from it.",
        SetPrivacyModeArguments,
        Scope.SESSIONS_WRITE,
        set_privacy_mode,
        idempotent=True,
    ),
)

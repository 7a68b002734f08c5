"""One call of a tool: who calls, for which user, and under which privacy mode."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from fastapi import Request

from app.core.errors import BadRequest, Forbidden
from app.core.http.header_text import header_text
from app.core.resources import Resources
from app.gateways.mcp.arguments import PrivateArguments
from app.identity.caller import Caller
from app.identity.transaction import caller_transaction
from app.memory.filters import has_positive_entity, parse_filters
from app.sessions.privacy import PrivacyMode, PrivacyPolicy, policy_of
from app.sessions.repository import SessionRepository

USER_HEADER, PROFILE_HEADER = "X-Keepsake-User-Id", "X-Keepsake-Profile-Id"
SESSION_HEADER, MODE_HEADER = "X-Keepsake-Session-Id", "X-Keepsake-Privacy-Mode"
STRICTNESS = (PrivacyMode.NORMAL, PrivacyMode.PAUSE_MEMORIES, PrivacyMode.INCOGNITO)
NOT_READ = "Memories are neither read nor stored in incognito."
NOT_STORED = "Nothing was stored: the privacy mode is {mode}."


@dataclass(frozen=True, slots=True)
class ConnectionDefaults:
    """What the configuration of a client fixes for all its calls, as headers."""

    user_id: str | None = None
    profile_id: UUID | None = None
    session_id: UUID | None = None
    privacy_mode: PrivacyMode = PrivacyMode.NORMAL

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> "ConnectionDefaults":
        return cls(
            user_id=header_text(headers, USER_HEADER),
            profile_id=_read_id(headers, PROFILE_HEADER),
            session_id=_read_id(headers, SESSION_HEADER),
            privacy_mode=_read_mode(headers.get(MODE_HEADER)),
        )


def _read_id(headers: Mapping[str, str], name: str) -> UUID | None:
    text = headers.get(name)
    try:
        return UUID(text) if text else None
    except ValueError:
        raise BadRequest(f"`{name}` must be a UUID.") from None


def _read_mode(text: str | None) -> PrivacyMode:
    try:
        return PrivacyMode(text) if text else PrivacyMode.NORMAL
    except ValueError:
        raise BadRequest(f"`{MODE_HEADER}` must be {', '.join(STRICTNESS[:-1])} or {STRICTNESS[-1]}.") from None


@dataclass(frozen=True, slots=True)
class ToolCall:
    request: Request
    resources: Resources
    caller: Caller
    defaults: ConnectionDefaults = field(default_factory=ConnectionDefaults)

    def user(self, named: str | None) -> str:
        """The user that a call is about: the one it names, that of the connection, or the signed-in account."""
        return self.caller.act_for(named or self.defaults.user_id)

    def owner_ids(self, named: Mapping[str, str]) -> dict[str, str]:
        """The ids of a new memory. Without any, it belongs to the user of the connection."""
        if named or self.defaults.user_id is None:
            return dict(named)
        return {"user_id": self.defaults.user_id}

    def filters(self, given: object, named: Mapping[str, str]) -> object:
        """The conditions of a search or list. Without an id, they are about the user of the connection."""
        conditions = [given] if given else []
        conditions += [{name: value} for name, value in named.items()]
        user_id = self.defaults.user_id
        if user_id is not None and not has_positive_entity(parse_filters({"AND": conditions} if conditions else None)):
            conditions.append({"user_id": user_id})
        if not conditions:
            return None
        return conditions[0] if len(conditions) == 1 else {"AND": conditions}

    async def privacy(self, arguments: PrivateArguments) -> tuple[PrivacyMode, PrivacyPolicy]:
        """The strictest of the modes of the connection, the session and the call."""
        modes = [self.defaults.privacy_mode]
        if arguments.privacy_mode is not None:
            modes.append(arguments.privacy_mode)
        if session_id := arguments.session_id or self.defaults.session_id:
            async with caller_transaction(self.resources.database, self.caller) as tx:
                session = await SessionRepository(tx, self.caller.project_id, self.caller.user_id).get(session_id)
                modes.append(PrivacyMode(session.privacy_mode))
        mode = max(modes, key=STRICTNESS.index)
        return mode, policy_of(mode)

    async def require_reading(self, arguments: PrivateArguments) -> PrivacyPolicy:
        mode, policy = await self.privacy(arguments)
        if not policy.reads_memories:
            raise Forbidden(f"{NOT_READ} Choose another privacy mode than {mode} to read them.", code="private")
        return policy

"""Who is asking, and what they may do. Everything past the front door sees only a Caller."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Security
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase

from app.core.errors import BadRequest, Forbidden, Unauthorized, Unprocessable
from app.core.http.openapi_errors import KEY_HEADER, PROJECT_HEADER
from app.core.ports import TokenClaims
from app.core.rate_limit import client_address
from app.core.resources import Resources
from app.identity.scopes import EVERYTHING, SCOPES_OF_ROLE, Scope

RESOLVE = "select * from private.resolve_account(:account, :session, :wanted)"
NOBODY = (
    "Sign in, or send an API key: `Authorization: Bearer <token>`, `Authorization: Token <key>` or `X-API-Key: <key>`"
)


@dataclass(frozen=True, slots=True)
class Caller:
    project_id: UUID
    organization_id: UUID
    scopes: frozenset[Scope]
    user_id: str | None = None
    """The one user this caller may act for; None means any user of the project."""
    account_id: UUID | None = None
    """Set when a person signed in; None for an API key."""
    key_id: UUID | None = None
    role: str | None = None
    email: str | None = None

    @property
    def name(self) -> str:
        """For counting requests: the person or the key."""
        return str(self.account_id or self.key_id)

    def act_for(self, user_id: str | None) -> str:
        """The user a request is about: the one named, or the person asking."""
        if user_id is None and self.account_id is None:
            raise BadRequest("An API key acts for many users: name one with `user_id`")
        chosen = user_id if user_id is not None else str(self.account_id)
        if self.user_id is not None and chosen != self.user_id:
            raise Forbidden("You are signed in as an end user and act for yourself only: leave `user_id` out")
        return chosen


def read_credential(request: Request) -> str:
    """What came with the request, before anything is believed."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() in ("bearer", "token") and value.strip():
        return value.strip()
    if key := request.headers.get(KEY_HEADER):
        return key
    raise Unauthorized(NOBODY)


def read_project(request: Request) -> UUID | None:
    text = request.headers.get(PROJECT_HEADER)
    try:
        return UUID(text) if text else None
    except ValueError:
        raise Unprocessable(f"`{PROJECT_HEADER}`: takes the id of a project, a UUID") from None


async def identify(request: Request) -> Caller:
    """Once per request, however many scopes a route and its transaction ask for."""
    known: Caller | None = getattr(request.state, "caller", None)
    if known is not None:
        return known
    resources: Resources = request.app.state.resources
    try:
        caller = await _resolve(resources, request)
    except Unauthorized:
        await resources.limits.admit_stranger(client_address(request))
        raise
    request.state.allowance = await resources.limits.admit_request(caller.name, str(caller.project_id))
    request.state.caller = caller
    resources.presence.note(caller.name)
    return caller


async def _resolve(resources: Resources, request: Request) -> Caller:
    credential, project = read_credential(request), read_project(request)
    if resources.keys.recognises(credential):
        return await _resolve_key(resources, credential)
    return await _resolve_person(resources, credential, project)


async def _resolve_key(resources: Resources, value: str) -> Caller:
    grant = await resources.keys.find(value)
    if grant is None:
        raise Unauthorized("This API key is not valid: it was revoked, has expired, or was never issued here")
    scopes = frozenset(Scope(scope) for scope in grant.scopes if scope in EVERYTHING)
    return Caller(grant.project_id, grant.organization_id, scopes, key_id=grant.key_id)


async def _resolve_person(resources: Resources, token: str, wanted: UUID | None) -> Caller:
    claims = await resources.tokens.verify(token)
    found = await _find_membership(resources, claims, wanted)
    if found is None and wanted is None:
        await resources.enter_project(claims.subject, claims.email)
        found = await _find_membership(resources, claims, wanted)
    if found is None:
        raise Forbidden("You are not a member of this project: leave X-Project-Id out, or see GET /v1/projects")
    project_id, organization_id, role = found
    pinned = str(claims.subject) if role == "USER" else None
    return Caller(
        *(project_id, organization_id, SCOPES_OF_ROLE[role], pinned, claims.subject),
        role=role,
        email=claims.email,
    )


async def _find_membership(
    resources: Resources, claims: TokenClaims, wanted: UUID | None
) -> tuple[UUID, UUID, str] | None:
    values = {"account": claims.subject, "session": claims.session_id, "wanted": wanted}
    row = await resources.database.ask(RESOLVE, values)
    if row is None or not row.session_live:
        raise Unauthorized("This session has ended: sign in again")
    return (row.project_id, row.organization_id, row.role) if row.project_id else None


class NeedsCredential(SecurityBase):
    """Each is one dependency for all it does: FastAPI takes as long to solve one as Postgres takes to answer."""

    model = HTTPBearerModel(description="An access token from /v1/auth/login, or an API key")
    scheme_name = "HTTPBearer"


class Present(NeedsCredential):
    async def __call__(self, request: Request) -> str:
        return read_credential(request)


class Identify(NeedsCredential):
    async def __call__(self, request: Request) -> Caller:
        return await identify(request)


class Authorize(NeedsCredential):
    async def __call__(self, required: SecurityScopes, request: Request) -> Caller:
        return check_scopes(await identify(request), required)


def check_scopes(caller: Caller, required: SecurityScopes) -> Caller:
    if missing := [scope for scope in required.scopes if scope not in caller.scopes]:
        who = "This API key lacks" if caller.key_id else "Your role in this project lacks"
        raise Forbidden(f"{who} the scope {', '.join(sorted(missing))}: use one that has it")
    return caller


CredentialDep = Annotated[str, Security(Present())]
CallerDep = Annotated[Caller, Security(Identify())]
authorize = Authorize()


def _needs(scope: Scope) -> object:
    return Security(authorize, scopes=[scope])


MemoryReader = Annotated[Caller, _needs(Scope.MEMORIES_READ)]
MemoryWriter = Annotated[Caller, _needs(Scope.MEMORIES_WRITE)]
ProfileReader = Annotated[Caller, _needs(Scope.PROFILES_READ)]
ProfileWriter = Annotated[Caller, _needs(Scope.PROFILES_WRITE)]
SessionReader = Annotated[Caller, _needs(Scope.SESSIONS_READ)]
SessionWriter = Annotated[Caller, _needs(Scope.SESSIONS_WRITE)]
ProjectReader = Annotated[Caller, _needs(Scope.PROJECTS_READ)]
ProjectWriter = Annotated[Caller, _needs(Scope.PROJECTS_WRITE)]
KeyReader = Annotated[Caller, _needs(Scope.KEYS_READ)]
KeyWriter = Annotated[Caller, _needs(Scope.KEYS_WRITE)]
Admin = Annotated[Caller, _needs(Scope.ADMIN)]


async def only_people(caller: CallerDep) -> Caller:
    if caller.account_id is None:
        raise Forbidden("This is for people who signed in: an API key belongs to a project, not to a person")
    return caller


Person = Annotated[Caller, Depends(only_people)]

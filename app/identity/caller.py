"""Resolve the credential of a request to a Caller: a project, scopes and, for end users, one `user_id`."""

import datetime as dt
from dataclasses import dataclass
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Security
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase

from app.core.database.actor import account_actor, current_actor, key_actor
from app.core.errors import BadRequest, Forbidden, Unauthorized, Unprocessable
from app.core.http.openapi_errors import KEY_HEADER, PROJECT_HEADER
from app.core.observability.usage_counts import UsageOf
from app.core.ports import KeyGrant, TokenClaims
from app.core.rate_limit import LimitExceeded, RequestSource, client_address
from app.core.resources import Resources
from app.identity.scopes import EVERYTHING, GRANTABLE, SCOPES_OF_ROLE, Scope

RESOLVE_ACCOUNT_SQL = "select * from private.resolve_account(:account, :session, :requested)"
PERSON_REQUIRED = "This requires a person who is signed in. An API key belongs to a project, not to a person."
NOT_A_MEMBER = "You are not a member of this project. Leave X-Project-Id out, or see GET /v1/projects."
NO_PROJECT = (
    "Sign-up is closed on this server, and your account has no project. Accept an invitation to one:"
    " see GET /v1/invitations/received."
)
NO_CREDENTIAL = (
    "Credentials are missing. Send `Authorization: Bearer <token>`, `Authorization: Token <key>` or `X-API-Key: <key>`."
)
FOR_MCP_ONLY = "This access token was granted for /mcp, and is accepted there only. Use an API key, or sign in."
END_USERS_ACT_FOR_THEMSELVES = "You are signed in as an end user and can only act for yourself. Leave `user_id` out."
FOR_ONESELF_ONLY = "This access was granted for the memories of the person who agreed to it. Leave `user_id` out."
NO_SCOPE_OF_OURS = "This access token has no scope of /mcp. The identity provider must add some, such as memories:read."
ACCEPTS_DELEGATED = "accepts_delegated"
CREATOR_LEFT = (
    "The account that created this API key was removed from the project, banned or deleted, and its keys ended with it."
    " Ask an owner of the project for a new key."
)
CREATOR_IS_END_USER = (
    "The account that created this API key is now an end user of the project, and end users have no keys."
    " Ask an owner of the project for a new key."
)


@dataclass(frozen=True, slots=True)
class Caller:
    project_id: UUID
    organization_id: UUID
    scopes: frozenset[Scope]
    user_id: str | None = None
    """The only user this caller may act for. None means any user of the project."""
    account_id: UUID | None = None
    """Set for a signed-in account. None for an API key."""
    key_id: UUID | None = None
    key_expires_at: dt.datetime | None = None
    key_created_by: UUID | None = None
    """The account whose rights limit those of the key. None for a key of the operator."""
    role: str | None = None
    email: str | None = None

    @property
    def creator(self) -> UUID | None:
        """The creator of what this caller creates: a key that was made by a key ends with the same account."""
        return self.account_id or self.key_created_by

    @property
    def name(self) -> str:
        """The account or key that sends the request."""
        return str(self.account_id or self.key_id)

    @property
    def actor(self) -> str | None:
        """What the audit log and the usage record."""
        return key_actor(self.key_id) if self.key_id else account_actor(self.account_id) if self.account_id else None

    @property
    def usage(self) -> UsageOf:
        return UsageOf(self.project_id, self.key_id)

    @property
    def source(self) -> RequestSource:
        """Whom rate limits count the request for."""
        organization = str(self.organization_id)
        account = str(self.creator) if self.creator else organization
        return RequestSource(self.name, str(self.project_id), organization, account, self.usage)

    def act_for(self, user_id: str | None) -> str:
        """The user that a request is about: the one it names, or the signed-in account."""
        if user_id is None and self.account_id is None:
            raise BadRequest("An API key can act for any user of its project. Send `user_id` to name one.")
        chosen = user_id if user_id is not None else str(self.account_id)
        if self.user_id is not None and chosen != self.user_id:
            raise Forbidden(FOR_ONESELF_ONLY if self.key_id else END_USERS_ACT_FOR_THEMSELVES)
        return chosen


def read_credential(request: Request) -> str:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() in ("bearer", "token") and value.strip():
        return value.strip()
    if key := request.headers.get(KEY_HEADER):
        return key
    raise Unauthorized(NO_CREDENTIAL)


def read_project(request: Request) -> UUID | None:
    text = request.headers.get(PROJECT_HEADER)
    try:
        return UUID(text) if text else None
    except ValueError:
        raise Unprocessable(f"`{PROJECT_HEADER}` must be the id of a project (a UUID).") from None


async def identify(request: Request) -> Caller:
    """Resolve the caller once per request. Several dependencies of one route ask for it."""
    known: Caller | None = getattr(request.state, "caller", None)
    if known is not None:
        return known
    resources: Resources = request.app.state.resources
    try:
        credential, project = read_credential(request), read_project(request)
        fingerprint = hash((credential, project))
        await resources.limits.check_refused(fingerprint)
        caller = await _resolve(resources, credential, project, accepts_delegated=is_for_mcp(request))
        request.state.allowance = await resources.limits.admit_request(caller.source, fingerprint)
    except Unauthorized:
        await resources.limits.admit_unauthenticated(client_address(request))
        raise
    except LimitExceeded as error:
        if error.source and error.source.usage:
            resources.usage.throttled[error.source.usage] += 1
        raise
    resources.usage.requests[caller.usage] += 1
    request.state.observe_latency = partial(resources.usage.observe, caller.usage)
    request.state.caller = caller
    current_actor.set(caller.actor)
    resources.active_users.record(caller.name)
    return caller


def is_for_mcp(request: Request) -> bool:
    """Set by the route, because an access token of OAuth is for /mcp only."""
    return getattr(request.state, ACCEPTS_DELEGATED, False) is True


async def admit_further(request: Request, caller: Caller, count: int) -> None:
    """A request that does the work of several counts as several."""
    resources: Resources = request.app.state.resources
    fingerprint = hash((read_credential(request), read_project(request)))
    try:
        for _ in range(count):
            request.state.allowance = await resources.limits.admit_request(caller.source, fingerprint)
            resources.usage.requests[caller.usage] += 1
    except LimitExceeded:
        resources.usage.throttled[caller.usage] += 1
        raise


async def _resolve(
    resources: Resources, credential: str, project: UUID | None, *, accepts_delegated: bool = False
) -> Caller:
    if resources.keys.recognises(credential):
        return await _resolve_key(resources, credential, accepts_delegated=accepts_delegated)
    return await _resolve_account(resources, credential, project, accepts_delegated=accepts_delegated)


async def _resolve_key(resources: Resources, value: str, *, accepts_delegated: bool) -> Caller:
    grant = await resources.keys.find(value)
    if grant is None:
        raise Unauthorized("This API key is not valid. It was revoked, has expired, or belongs to another server.")
    if grant.is_delegated and not accepts_delegated:
        raise Unauthorized(FOR_MCP_ONLY)
    if grant.is_delegated:
        return _act_as_creator(grant)
    return Caller(
        project_id=grant.project_id,
        organization_id=grant.organization_id,
        scopes=frozenset(Scope(scope) for scope in grant.scopes if scope in EVERYTHING) & _limit_of_creator(grant),
        key_id=grant.key_id,
        key_expires_at=grant.expires_at,
        key_created_by=grant.created_by,
    )


def _act_as_creator(grant: KeyGrant) -> Caller:
    """A client of OAuth acts as the person who agreed, within the scopes that the person agreed to and has now. It acts
    for this person only, also if the person owns the project: the consent speaks of the person's own memories."""
    if grant.created_by is None or grant.creator_role is None:
        raise Unauthorized(CREATOR_LEFT)
    return Caller(
        project_id=grant.project_id,
        organization_id=grant.organization_id,
        scopes=frozenset(Scope(scope) for scope in grant.scopes if scope in EVERYTHING)
        & SCOPES_OF_ROLE[grant.creator_role],
        user_id=str(grant.created_by),
        account_id=grant.created_by,
        key_id=grant.key_id,
        key_expires_at=grant.expires_at,
        key_created_by=grant.created_by,
        role=grant.creator_role,
    )


def _limit_of_creator(grant: KeyGrant) -> frozenset[Scope]:
    if grant.created_by is None:
        return EVERYTHING
    if grant.creator_role is None:
        raise Unauthorized(CREATOR_LEFT)
    if grant.creator_role == "USER":
        # An end user acts for themselves only, and a key acts for every user of its project.
        raise Unauthorized(CREATOR_IS_END_USER)
    return SCOPES_OF_ROLE[grant.creator_role]


async def _resolve_account(
    resources: Resources, token: str, requested: UUID | None, *, accepts_delegated: bool
) -> Caller:
    claims = await resources.tokens.verify(token)
    if claims.client_id and not accepts_delegated:
        raise Unauthorized(FOR_MCP_ONLY)
    current_actor.set(account_actor(claims.subject))
    found = await _find_membership(resources, claims, requested)
    if found is None and requested is None:
        await resources.provision_account(claims.subject, claims.email)
        found = await _find_membership(resources, claims, requested)
    if found is None and requested is None:
        raise Forbidden(NO_PROJECT)
    if found is None:
        raise Forbidden(NOT_A_MEMBER, code="not_a_member")
    project_id, organization_id, role = found
    return Caller(
        project_id=project_id,
        organization_id=organization_id,
        scopes=SCOPES_OF_ROLE[role] & _limit_of_client(claims),
        user_id=str(claims.subject) if role == "USER" or claims.client_id else None,
        account_id=claims.subject,
        role=role,
        email=claims.email,
    )


def _limit_of_client(claims: TokenClaims) -> frozenset[Scope]:
    if claims.client_id is None:
        return EVERYTHING
    granted = frozenset(Scope(each) for each in claims.scope.split() if each in GRANTABLE)
    if not granted:
        raise Forbidden(NO_SCOPE_OF_OURS)
    return granted


async def identify_account(request: Request) -> TokenClaims:
    """Resolve only the account of a token, which may have no project and may name one that it has left."""
    known: TokenClaims | None = getattr(request.state, "account", None)
    if known is not None:
        return known
    resources: Resources = request.app.state.resources
    credential = read_credential(request)
    if resources.keys.recognises(credential):
        await identify(request)
        raise Forbidden(PERSON_REQUIRED)
    fingerprint = hash((credential, None))
    try:
        await resources.limits.check_refused(fingerprint)
        claims = await resources.tokens.verify(credential)
        if claims.client_id:
            raise Unauthorized(FOR_MCP_ONLY)
        await _find_membership(resources, claims, None)
    except Unauthorized:
        await resources.limits.admit_unauthenticated(client_address(request))
        raise
    account = str(claims.subject)
    source = RequestSource(caller=account, project=account, organization=account, account=account)
    request.state.allowance = await resources.limits.admit_request(source, fingerprint)
    request.state.account = claims
    current_actor.set(account_actor(claims.subject))
    return claims


async def _find_membership(
    resources: Resources, claims: TokenClaims, requested: UUID | None
) -> tuple[UUID, UUID, str] | None:
    values = {"account": claims.subject, "session": claims.session_id, "requested": requested}
    row = await resources.database.call_private(RESOLVE_ACCOUNT_SQL, values)
    if row is None or not row.session_live:
        raise Unauthorized("This session has ended. Sign in again.")
    return (row.project_id, row.organization_id, row.role) if row.project_id else None


class CredentialSecurity(SecurityBase):
    """One dependency class per check: FastAPI resolves a dependency about as slowly as Postgres answers."""

    model = HTTPBearerModel(description="An access token from /v1/auth/login, or an API key.")
    scheme_name = "HTTPBearer"


class RequireCredential(CredentialSecurity):
    async def __call__(self, request: Request) -> str:
        return read_credential(request)


class RequireCaller(CredentialSecurity):
    async def __call__(self, request: Request) -> Caller:
        return await identify(request)


class RequireAccount(CredentialSecurity):
    async def __call__(self, request: Request) -> TokenClaims:
        return await identify_account(request)


class RequireScopes(CredentialSecurity):
    async def __call__(self, required: SecurityScopes, request: Request) -> Caller:
        caller = check_scopes(await identify(request), required)
        # Deletions are small, and people may need them to make room.
        if request.method != "DELETE" and any(scope.endswith(":write") for scope in required.scopes):
            resources: Resources = request.app.state.resources
            resources.disk_space.require()
        return caller


def check_scopes(caller: Caller, required: SecurityScopes) -> Caller:
    if missing := [scope for scope in required.scopes if scope not in caller.scopes]:
        raise lacks_scopes(caller, *missing)
    return caller


def lacks_scopes(caller: Caller, *missing: str) -> Forbidden:
    subject = "This API key" if caller.key_id else "Your role in this project"
    return Forbidden(f"{subject} lacks the scope {', '.join(sorted(missing))}.")


CredentialDep = Annotated[str, Security(RequireCredential())]
CallerDep = Annotated[Caller, Security(RequireCaller())]
SignedInAccount = Annotated[TokenClaims, Security(RequireAccount())]
"""For routes that concern an account and no project."""
authorize = RequireScopes()


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


async def require_person(caller: CallerDep) -> Caller:
    if caller.account_id is None:
        raise Forbidden(PERSON_REQUIRED)
    return caller


Person = Annotated[Caller, Depends(require_person)]

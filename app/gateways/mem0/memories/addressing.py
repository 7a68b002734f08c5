"""Which user, profile and memories a request addresses: from ids and filters to namespaces."""

from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import Database
from app.core.errors import BadRequest
from app.identity.caller import Caller
from app.identity.transaction import caller_transaction
from app.memory.filters import (
    And,
    Filter,
    InDefaultProfile,
    Not,
    OneOf,
    Or,
    Present,
    check_cost,
    entity_scope,
    find_content,
    has_positive_entity,
    parse_filters,
    to_sql,
)
from app.memory.ledger import Memory
from app.memory.namespace import Namespace
from app.memory.origin import ENTITY_FIELDS, Origin
from app.profiles.repository import ProfileRepository
from app.profiles.resolve import find_profile, find_profiles

ProfileChoice = UUID | Literal["*"] | None
"""None selects the default profile of each user; `*` selects all profiles."""


@dataclass(frozen=True, slots=True)
class ResolvedScope:
    namespaces: tuple[Namespace, ...] | None
    """None means every namespace of the project that the filter allows."""
    filter: Filter | None

    def where(self) -> list[ColumnElement[bool]]:
        conditions = [to_sql(self.filter)] if self.filter else []
        if self.namespaces is not None:
            conditions.append(Memory.namespace.in_([str(namespace) for namespace in self.namespaces]))
        return conditions


# ---------------------------------------------------------------- new memories


def read_origin(given: Origin, filters: object) -> Origin:
    """Ids may be sent at the top level or inside `filters`, and must not contradict each other."""
    scope = entity_scope(parse_filters(filters))
    return Origin(**{field: _single_id(field, getattr(given, field), ids) for field, ids in scope.items()})


def _single_id(field: str, given: str | None, in_filters: frozenset[str] | None) -> str | None:
    values = {given, *(in_filters or ())} - {None}
    if len(values) > 1:
        raise BadRequest(f"A memory has one {field}. Send the same value at the top level and in filters, or only once")
    return values.pop() if values else None


async def resolve_namespace(
    tx: AsyncSession, caller: Caller, origin: Origin, profile: ProfileChoice
) -> tuple[Namespace, Origin]:
    """The namespace to write to. Creates the default profile of a user that is not known yet."""
    if profile == "*":
        raise BadRequest("A memory is written to one profile. Send the id of a profile, or omit `profile_id`")
    user_id = await _resolve_user(tx, caller, origin, profile)
    if user_id is None:
        return Namespace(caller.project_id), origin
    stored_profile = await ProfileRepository(tx, caller.project_id).of_user(user_id, profile)
    return Namespace(caller.project_id, user_id, stored_profile.id), replace(origin, user_id=user_id)


async def resolve_known_namespace(
    database: Database, caller: Caller, origin: Origin, profile: ProfileChoice
) -> tuple[Namespace, Origin]:
    """`resolve_namespace` in its own transaction, but in a single round trip when the user is known already."""
    if profile is None and (origin.user_id is not None or caller.account_id is not None):
        user_id = caller.act_for(origin.user_id)
        homes = await find_profiles(database, caller.project_id, caller.user_id, (user_id,))
        if homes:
            return Namespace(caller.project_id, *homes[0]), replace(origin, user_id=user_id)
    async with caller_transaction(database, caller) as tx:
        return await resolve_namespace(tx, caller, origin, profile)


async def _resolve_user(tx: AsyncSession, caller: Caller, origin: Origin, profile: UUID | None) -> str | None:
    if origin.user_id is not None or caller.account_id is not None:
        return caller.act_for(origin.user_id)
    if profile is not None:
        return (await ProfileRepository(tx, caller.project_id).get(profile)).user_id
    if origin == Origin():
        raise BadRequest("This memory has no owner. Send at least one of user_id, agent_id, app_id and run_id")
    return None


# ---------------------------------------------------------------- stored memories


def restrict_to_caller(caller: Caller, requested: Filter) -> Filter:
    """Add the caller's user: always for a caller pinned to a user, else only if the filter of an account names none.

    `requested` holds all conditions of the request, so this checks what they cost together."""
    check_cost(requested)
    if caller.user_id is not None:
        named = entity_scope(requested)["user_id"]
        if named and caller.user_id not in named:
            caller.act_for(min(named))
        return And((requested, OneOf("user_id", (caller.user_id,))))
    if caller.account_id is not None and not _mentions_user(requested):
        return And((requested, OneOf("user_id", (str(caller.account_id),))))
    if not has_positive_entity(requested):
        raise BadRequest(
            'Filters must name a user_id, agent_id, app_id or run_id ("*" for any) in every branch of an OR,'
            " and not only inside a NOT"
        )
    return requested


def _mentions_user(condition: Filter) -> bool:
    match condition:
        case OneOf(field) | Present(field):
            return field == "user_id"
        case And(parts) | Or(parts):
            return any(map(_mentions_user, parts))
        case Not(part):
            return _mentions_user(part)
    return False


async def resolve_scope(database: Database, caller: Caller, requested: Filter, profile: ProfileChoice) -> ResolvedScope:
    """Reading creates no profile: an unknown user has no namespace and therefore no memories."""
    users = entity_scope(requested)["user_id"]
    requested = await find_content(database, requested, caller.project_id, caller.user_id)
    if isinstance(profile, UUID):
        return await _resolve_profile(database, caller, requested, profile, users)
    if users is None:
        return ResolvedScope(None, requested if profile == "*" else And((requested, InDefaultProfile())))
    homes = await find_profiles(database, caller.project_id, caller.user_id, users, every=profile == "*")
    return ResolvedScope(tuple(Namespace(caller.project_id, *home) for home in homes), without_user(requested))


async def _resolve_profile(
    database: Database, caller: Caller, requested: Filter, profile_id: UUID, users: frozenset[str] | None
) -> ResolvedScope:
    home = await find_profile(database, caller.project_id, caller.user_id, profile_id)
    if users is not None and home[0] not in users:
        return ResolvedScope((), None)
    return ResolvedScope((Namespace(caller.project_id, *home),), requested)


def without_user(condition: Filter) -> Filter | None:
    """The conditions that the users' namespaces do not imply already. The most common filter has none left."""
    match condition:
        case OneOf("user_id"):
            return None
        case And(parts):
            left = tuple(part for each in parts if (part := without_user(each)) is not None)
            return And(left) if left else None
    return condition


def has_only_entity_ids(condition: Filter) -> bool:
    """Whether the filter consists of ids of users, agents, apps and runs, all joined by AND."""
    match condition:
        case OneOf(field):
            return field in ENTITY_FIELDS
        case And(parts):
            return all(map(has_only_entity_ids, parts))
    return False

"""Whom a call is about: from ids and filters to namespaces. Profiles never mix silently, and nobody sees past a pin."""

from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.database import Database
from app.core.errors import BadRequest
from app.identity.caller import Caller
from app.identity.transaction import caller_transaction
from app.memory.filters.entity_scope import entity_scope, has_positive_entity
from app.memory.filters.parse import parse_filters
from app.memory.filters.tree import ENTITY_FIELDS, And, Filter, InDefaultProfile, Not, OneOf, Or, Present, to_sql
from app.memory.ledger.models import Memory
from app.memory.namespace import Namespace
from app.profiles.repository import ProfileRepository
from app.profiles.resolve import home_named, homes_of

ProfileChoice = UUID | Literal["*"] | None
"""None is the default profile of each user; `*` is all of them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom something new belongs to."""

    user_id: str | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Sought:
    namespaces: tuple[Namespace, ...] | None
    """None means anywhere in the project that the filter allows."""
    filter: Filter | None

    def where(self) -> list[ColumnElement[bool]]:
        conditions = [to_sql(self.filter)] if self.filter else []
        if self.namespaces is not None:
            conditions.append(Memory.namespace.in_([str(each) for each in self.namespaces]))
        return conditions


# ---------------------------------------------------------------- something new


def identity_of(given: Identity, filters: object) -> Identity:
    """Ids may come on top or inside `filters`, and must not contradict each other."""
    scope = entity_scope(parse_filters(filters))
    named = (scope.user_ids, scope.agent_ids, scope.app_ids, scope.run_ids)
    return Identity(
        **{field: _only_one(field, getattr(given, field), ids) for field, ids in zip(ENTITY_FIELDS, named, strict=True)}
    )


def _only_one(field: str, given: str | None, named: frozenset[str] | None) -> str | None:
    values = {given, *(named or ())} - {None}
    if len(values) > 1:
        raise BadRequest(f"A memory has one {field}: name the same one on top and in filters, or only once")
    return values.pop() if values else None


async def home_of(
    tx: AsyncSession, caller: Caller, identity: Identity, profile: ProfileChoice
) -> tuple[Namespace, Identity]:
    """Where something new goes. A user seen for the first time gets the default profile here."""
    if profile == "*":
        raise BadRequest("A memory is written to one profile: name it by its id, or leave `profile_id` out")
    user_id = await _whose(tx, caller, identity, profile)
    if user_id is None:
        return Namespace(caller.project_id), identity
    found = await ProfileRepository(tx, caller.project_id).of_user(user_id, profile)
    return Namespace(caller.project_id, user_id, found.id), replace(identity, user_id=user_id)


async def find_home(
    database: Database, caller: Caller, identity: Identity, profile: ProfileChoice
) -> tuple[Namespace, Identity]:
    """`home_of` for who writes in one round trip afterwards: a user already known is looked up in one, too."""
    if profile is None and (identity.user_id is not None or caller.account_id is not None):
        user_id = caller.act_for(identity.user_id)
        homes = await homes_of(database, caller.project_id, caller.user_id, (user_id,))
        if homes:
            return Namespace(caller.project_id, *homes[0]), replace(identity, user_id=user_id)
    async with caller_transaction(database, caller) as tx:
        return await home_of(tx, caller, identity, profile)


async def _whose(tx: AsyncSession, caller: Caller, identity: Identity, profile: UUID | None) -> str | None:
    if identity.user_id is not None or caller.account_id is not None:
        return caller.act_for(identity.user_id)
    if profile is not None:
        return (await ProfileRepository(tx, caller.project_id).get(profile)).user_id
    if identity == Identity():
        raise BadRequest("Say whose memory this is: send at least one of user_id, agent_id, app_id and run_id")
    return None


# ---------------------------------------------------------------- something stored


def about(caller: Caller, found: Filter) -> Filter:
    """What may be asked: a person who names no user means themselves, and a pinned one always does."""
    if caller.user_id is not None:
        named = entity_scope(found).user_ids
        if named and caller.user_id not in named:
            caller.act_for(min(named))
        return And((found, OneOf("user_id", (caller.user_id,))))
    if caller.account_id is not None and not _mentions_user(found):
        return And((found, OneOf("user_id", (str(caller.account_id),))))
    if not has_positive_entity(found):
        raise BadRequest(
            'Say whose memories you mean: filters must name a user_id, agent_id, app_id or run_id ("*" for any),'
            " in every branch of an OR, and not only by exclusion"
        )
    return found


def _mentions_user(found: Filter) -> bool:
    match found:
        case OneOf(field) | Present(field):
            return field == "user_id"
        case And(parts) | Or(parts):
            return any(map(_mentions_user, parts))
        case Not(part):
            return _mentions_user(part)
    return False


async def seek(database: Database, caller: Caller, found: Filter, profile: ProfileChoice) -> Sought:
    """Reading makes nothing: a user never seen has no namespace, so nothing is found."""
    users = entity_scope(found).user_ids
    if isinstance(profile, UUID):
        return await _in_one_profile(database, caller, found, profile, users)
    if users is None:
        return Sought(None, found if profile == "*" else And((found, InDefaultProfile())))
    homes = await homes_of(database, caller.project_id, caller.user_id, users, every=profile == "*")
    return Sought(tuple(Namespace(caller.project_id, *home) for home in homes), without_user(found))


async def _in_one_profile(
    database: Database, caller: Caller, found: Filter, profile_id: UUID, users: frozenset[str] | None
) -> Sought:
    home = await home_named(database, caller.project_id, caller.user_id, profile_id)
    if users is not None and home[0] not in users:
        return Sought((), None)
    return Sought((Namespace(caller.project_id, *home),), found)


def without_user(found: Filter) -> Filter | None:
    """The conditions that namespaces of the users named do not already fulfil, so that the common case has none."""
    match found:
        case OneOf("user_id"):
            return None
        case And(parts):
            left = tuple(part for each in parts if (part := without_user(each)) is not None)
            return And(left) if left else None
    return found


def names_only(found: Filter) -> bool:
    """Whether it asks for users, agents, apps and runs by their ids, all of them together, and for nothing else."""
    match found:
        case OneOf(field):
            return field in ENTITY_FIELDS
        case And(parts):
            return all(map(names_only, parts))
    return False

"""Find the rows that a request to erase concerns, as far as the caller may see them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import NotFound
from app.erasure.models import ErasureScope, SubjectKind
from app.identity.caller import Caller
from app.memory.namespace import Namespace

SELECT_MEMORY_SQL = text("select id, user_id from memories where project_id = :project_id and id = :id")
SELECT_SESSION_SQL = text("select id, user_id from sessions where project_id = :project_id and id = :id")
SELECT_PROFILE_SQL = text("select id, user_id from profiles where project_id = :project_id and id = :id")
# What was remembered of a session: its messages, and the facts that were read in them.
SELECT_MEMORIES_OF_SESSION_SQL = text("""
select m.id from memories m
where m.project_id = :project_id and m.user_id = :user_id and (m.run_id = cast(:id as text)
  or m.source_message_id in (select s.id from messages s
    where s.project_id = :project_id and s.user_id = :user_id and s.session_id = :id))
""")
SELECT_EVENTS_OF_SESSION_SQL = text("select id from events where session_id = :id and project_id = :project_id")
SELECT_MEMORIES_OF_PROFILES_SQL = text("""
select id from memories where project_id = :project_id and user_id = :user_id and profile_id = any(:ids)
""")
SELECT_SESSIONS_OF_PROFILES_SQL = text("""
select id from sessions where project_id = :project_id and user_id = :user_id and profile_id = any(:ids)
""")
SELECT_PROFILES_OF_USER_SQL = text("select id from profiles where project_id = :project_id and user_id = :user_id")
SELECT_MEMORIES_OF_ENTITY_SQL = text("""
select id, user_id from memories where project_id = :project_id
  and (agent_id = :agent_id or app_id = :app_id or run_id = :run_id)
  and (cast(:own as text) is null or user_id = :own)
""")
# A summary contains words of each of its episodes, also of one that was restored.
SELECT_SUMMARIES_OF_MEMORIES_SQL = text("""
select id from private.summaries_of(:project_id, :ids) except select unnest(cast(:ids as uuid[]))
""")
SELECT_EVENTS_OF_ENTITY_SQL = text("""
select id from events where project_id = :project_id
  and (request ->> 'agent_id' = :agent_id or request ->> 'app_id' = :app_id or request ->> 'run_id' = :run_id)
  and (cast(:own as text) is null or user_id = :own)
""")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be erased: an id, or the name of a user, agent, app or run."""

    kind: SubjectKind
    name: str

    @property
    def id(self) -> UUID:
        return UUID(self.name)


@dataclass(frozen=True, slots=True)
class ResolvedSubject:
    scope: ErasureScope
    users: frozenset[str]
    """Everybody whose data is in the scope. A legal hold on one of them refuses the erasure."""


async def resolve_subject(tx: AsyncSession, caller: Caller, subject: Subject) -> ResolvedSubject:
    resolved = await RESOLVERS[subject.kind](tx, caller, subject)
    values = {"project_id": caller.project_id, "ids": resolved.scope.memory_ids}
    resolved.scope.memory_ids += await tx.scalars(SELECT_SUMMARIES_OF_MEMORIES_SQL, values)
    return resolved


async def _resolve_memory(tx: AsyncSession, caller: Caller, subject: Subject) -> ResolvedSubject:
    values = {"project_id": caller.project_id, "id": subject.id}
    row = (await tx.execute(SELECT_MEMORY_SQL, values)).first()
    if row is None:
        raise NotFound(f"There is no memory {subject.name}")
    scope = ErasureScope(owner_id=row.user_id, memory_ids=[row.id])
    return ResolvedSubject(scope, frozenset({row.user_id} - {None}))


async def _resolve_session(tx: AsyncSession, caller: Caller, subject: Subject) -> ResolvedSubject:
    values = {"project_id": caller.project_id, "id": subject.id}
    row = (await tx.execute(SELECT_SESSION_SQL, values)).first()
    if row is None:
        raise NotFound(f"There is no session {subject.name}")
    scope = ErasureScope(
        owner_id=row.user_id,
        session_ids=[row.id],
        memory_ids=list(await tx.scalars(SELECT_MEMORIES_OF_SESSION_SQL, {**values, "user_id": row.user_id})),
        event_ids=list(await tx.scalars(SELECT_EVENTS_OF_SESSION_SQL, values)),
    )
    return ResolvedSubject(scope, frozenset({row.user_id}))


async def _resolve_profile(tx: AsyncSession, caller: Caller, subject: Subject) -> ResolvedSubject:
    row = (await tx.execute(SELECT_PROFILE_SQL, {"project_id": caller.project_id, "id": subject.id})).first()
    if row is None:
        raise NotFound(f"There is no profile {subject.name}")
    return ResolvedSubject(await _scope_of_profiles(tx, caller, row.user_id, [row.id]), frozenset({row.user_id}))


async def _resolve_user(tx: AsyncSession, caller: Caller, subject: Subject) -> ResolvedSubject:
    values = {"project_id": caller.project_id, "user_id": subject.name}
    profiles = list(await tx.scalars(SELECT_PROFILES_OF_USER_SQL, values))
    scope = await _scope_of_profiles(tx, caller, subject.name, profiles)
    whole = {"user_id": subject.name, "entity_type": "user", "entity_name": subject.name}
    return ResolvedSubject(scope.model_copy(update=whole), frozenset({subject.name}))


async def _resolve_account(tx: AsyncSession, caller: Caller, subject: Subject) -> ResolvedSubject:
    """Only its owner deletes an account. Others erase what their project holds of it."""
    found = await _resolve_user(tx, caller, subject)
    of_account = {"account_id": subject.id, "closes_account": subject.id == caller.account_id}
    return ResolvedSubject(found.scope.model_copy(update=of_account), found.users)


async def _resolve_entity(tx: AsyncSession, caller: Caller, subject: Subject) -> ResolvedSubject:
    """An agent, app or run belongs to the project. A person erases their own memories of it, as in searches."""
    own = str(caller.account_id) if caller.account_id else None
    entity = {f"{kind}_id": subject.name if kind == subject.kind else None for kind in ("agent", "app", "run")}
    values = {"project_id": caller.project_id, "own": own, **entity}
    rows = (await tx.execute(SELECT_MEMORIES_OF_ENTITY_SQL, values)).all()
    scope = ErasureScope(
        memory_ids=[row.id for row in rows],
        event_ids=list(await tx.scalars(SELECT_EVENTS_OF_ENTITY_SQL, values)),
        **(entity if own is None else {}),
        **({"entity_type": subject.kind, "entity_name": subject.name} if caller.user_id is None else {}),
    )
    return ResolvedSubject(scope, frozenset({row.user_id for row in rows} - {None}))


async def _scope_of_profiles(tx: AsyncSession, caller: Caller, user_id: str, profile_ids: list[UUID]) -> ErasureScope:
    values = {"project_id": caller.project_id, "user_id": user_id, "ids": profile_ids}
    return ErasureScope(
        owner_id=user_id,
        profile_ids=profile_ids,
        session_ids=list(await tx.scalars(SELECT_SESSIONS_OF_PROFILES_SQL, values)),
        memory_ids=list(await tx.scalars(SELECT_MEMORIES_OF_PROFILES_SQL, values)),
        namespaces=[str(Namespace(caller.project_id, user_id, each)) for each in profile_ids],
    )


Resolver = Callable[[AsyncSession, Caller, Subject], Awaitable[ResolvedSubject]]
RESOLVERS: dict[SubjectKind, Resolver] = {
    SubjectKind.MEMORY: _resolve_memory,
    SubjectKind.SESSION: _resolve_session,
    SubjectKind.PROFILE: _resolve_profile,
    SubjectKind.USER: _resolve_user,
    SubjectKind.ACCOUNT: _resolve_account,
    SubjectKind.AGENT: _resolve_entity,
    SubjectKind.APP: _resolve_entity,
    SubjectKind.RUN: _resolve_entity,
}

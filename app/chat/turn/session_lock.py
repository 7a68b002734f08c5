"""Enter a session for a turn: one query reads everything that decides about the turn, one update acquires the session.

Two round trips, however many statements each of them carries: under load, a turn queues before every round trip.
"""

import hashlib
import json
from collections.abc import Awaitable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID, uuid4

from sqlalchemy import text

from app.chat.types import Prepared, PreviousAnswer, TurnInput
from app.chat.usage.usage import BUDGET_SETTING
from app.core.config import Config
from app.core.database.database import Statement
from app.core.errors import Conflict, NotFound, TooManyRequests, Unprocessable
from app.core.ports import Usage
from app.core.resources import Resources
from app.memory.standing import SELECT_STANDING_SQL, StandingMemory
from app.projects.token_usage import TokensUsed, budget_flags
from app.sessions.privacy import PrivacyMode
from app.sessions.repository import END_TURN_SQL

LEASE_SECONDS = 30
"""After a crash during an answer, the session is free again after this time at the latest."""
SELECT_SESSION_FOR_TURN_SQL = text(f"""
select s.id, s.user_id, s.profile_id, s.privacy_mode, s.summary, s.summary_through, p.persona,
  j.settings -> 'monthly_token_budget' as budget,
  (select u.prompt_tokens + u.completion_tokens from token_usage u
    where u.project_id = s.project_id and u.month = date_trunc('month', now())::date) as used,
  case when cast(:limits_account as boolean) then private.account_tokens() end as account_used,
  case when cast(:limits_server as boolean) then private.server_tokens() end as server_used,
  extract(epoch from date_trunc('month', now()) + interval '1 month' - now())::int as seconds_left, t.*,
  ({SELECT_STANDING_SQL}) as standing,
  case when (j.settings ->> 'profiles_enabled')::boolean then (select u.content from portraits u
    where u.project_id = s.project_id and u.user_id = s.user_id and u.profile_id = s.profile_id) end as user_profile
from sessions s
join profiles p on p.project_id = s.project_id and p.id = s.profile_id
join projects j on j.id = s.project_id
left join lateral (
  select t.fingerprint, t.event_id, t.recalled, asked.id as user_message_id, answer.id as message_id,
    answer.content as answer, answer.prompt_tokens, answer.completion_tokens
  from turns t join messages asked on asked.id = t.user_message_id join messages answer on answer.id = t.message_id
  where t.project_id = s.project_id and t.user_id = s.user_id and t.idempotency_key = :key
) t on true
where s.project_id = :project_id and s.id = :id and (cast(:pinned as text) is null or s.user_id = :pinned)
""")  # noqa: S608  # only statements of our own are put together
TAKE_SESSION_SQL = text("""
update sessions set turn_id = :turn, turn_until = clock_timestamp() + make_interval(secs => :seconds),
  privacy_mode = coalesce(:mode, privacy_mode),
  updated_at = case when coalesce(:mode, privacy_mode) = privacy_mode then updated_at else now() end
where project_id = :project_id and id = :id and (turn_id is null or turn_until < clock_timestamp())
""")
# An interrupted attempt of the same turn has left its messages: this attempt writes them again.
DELETE_INTERRUPTED_ATTEMPT_SQL = text("""
delete from messages m using sessions s
where s.project_id = :project_id and s.id = :id and s.turn_id = :turn and m.project_id = s.project_id
  and m.user_id = s.user_id and m.session_id = s.id and m.metadata ->> 'idempotency_key' = :key
""")
# A statement of its own: the update may have waited for another turn, and does not see what that turn committed.
SELECT_ACQUIRED_SESSION_SQL = text("""
select s.turn_id = :turn as acquired, coalesce((select max(m.position) from messages m
    where m.project_id = s.project_id and m.user_id = s.user_id and m.session_id = s.id), 0) as last_position,
  exists (select from turns t
    where t.project_id = s.project_id and t.user_id = s.user_id and t.idempotency_key = :key) as answered,
  s.turn_id as holder, ceil(extract(epoch from s.turn_until - clock_timestamp()))::int as seconds_left
from sessions s where s.project_id = :project_id and s.id = :id
""")
RENEW_LEASE_SQL = text("""
update sessions set turn_until = clock_timestamp() + make_interval(secs => :seconds)
where project_id = :project_id and id = :id and turn_id = :turn
returning id
""")


class RunPipeline(Protocol):
    """Executes statements in one round trip and one transaction; returns the rows of the last one."""

    def __call__(self, *statements: Statement) -> Awaitable[Sequence[Any]]: ...


@dataclass(frozen=True, slots=True)
class TurnKey:
    """Which turn, in which session, on behalf of which caller."""

    turn_id: UUID
    project_id: UUID
    session_id: UUID
    pinned_user_id: str | None
    idempotency_key: str | None
    fingerprint: bytes
    """Identifies the request: the same Idempotency-Key with another message or session is refused."""

    def values(self, **more: object) -> dict[str, object]:
        return {"project_id": self.project_id, "id": self.session_id, "turn": self.turn_id, **more}


@dataclass(frozen=True, slots=True)
class SessionState:
    """What is known of a session before a turn in it begins."""

    user_id: str
    profile_id: UUID
    mode: PrivacyMode
    persona: str | None
    summary: str | None
    summary_through: int
    token_budget: object
    """A number if the project has a budget."""
    tokens_used: int
    operator_tokens: TokensUsed
    previous: PreviousAnswer | None
    standing: Sequence[StandingMemory]
    user_profile: Mapping[str, Any] | None

    def check_owner(self, session_id: UUID, user_id: str | None, profile_id: UUID | None) -> None:
        if user_id is not None and user_id != self.user_id:
            raise NotFound(f"There is no session {session_id}")
        if profile_id is not None and profile_id != self.profile_id:
            raise Conflict("This session belongs to another profile. Leave `profile_id` out, or start another session.")

    def check_budget(self, config: Config) -> None:
        if error := self.operator_tokens.exceeded(config):
            raise error
        if isinstance(self.token_budget, int) and self.tokens_used >= self.token_budget:
            raise TooManyRequests(
                f"This project has used its {self.token_budget} tokens of this month. Raise {BUDGET_SETTING}, or wait"
                " for the next month.",
                code="token_budget_used",
                headers={"Retry-After": str(self.operator_tokens.seconds_left)},
            )


@dataclass(frozen=True, slots=True)
class Acquired:
    last_position: int
    """The position of the last message in the transcript; 0 if there is none."""
    answered: bool
    """Another request with the same Idempotency-Key was answered while this one waited."""


@dataclass(frozen=True, slots=True)
class EnteredSession:
    """The session as a turn found it. It is acquired unless `state.previous` answers the turn."""

    key: TurnKey
    state: SessionState
    last_position: int = 0


def turn_key(project_id: UUID, pinned_user_id: str | None, session_id: UUID, request: TurnInput) -> TurnKey:
    identity = [str(session_id), request.content, *map(str, request.options.confirm_forget or ())]
    if request.options.confirm_forget_all is not None:
        identity.append(request.options.confirm_forget_all)
    return TurnKey(
        turn_id=uuid4(),
        project_id=project_id,
        session_id=session_id,
        pinned_user_id=pinned_user_id,
        idempotency_key=request.idempotency_key,
        fingerprint=hashlib.sha256(json.dumps(identity).encode()).digest(),
    )


async def enter_session(
    resources: Resources, run_pipeline: RunPipeline, key: TurnKey, request: TurnInput
) -> EnteredSession:
    """Check what can be refused, then acquire the session unless the turn was answered before."""
    config = resources.config
    state = await read_session(run_pipeline, key, config)
    state.check_owner(key.session_id, request.user_id, request.profile_id)
    await resources.limits.admit_chat(f"{key.project_id}:{state.user_id}")
    if state.previous is not None:
        check_fingerprint(key, state.previous)
        return EnteredSession(key, state)
    state.check_budget(config)
    acquired = await acquire_session(run_pipeline, key, request.privacy_mode, resources.running_turns)
    if not acquired.answered:
        return EnteredSession(key, state, acquired.last_position)
    state = await read_session(run_pipeline, key, config)
    await run_pipeline((END_TURN_SQL, key.values()))
    if state.previous is not None:
        check_fingerprint(key, state.previous)
    return EnteredSession(key, state)


async def read_session(run_pipeline: RunPipeline, key: TurnKey, config: Config) -> SessionState:
    values = key.values(pinned=key.pinned_user_id, key=key.idempotency_key, **budget_flags(config))
    rows = await run_pipeline((SELECT_SESSION_FOR_TURN_SQL, values))
    if not rows:
        raise NotFound(f"There is no session {key.session_id}")
    [row] = rows
    return SessionState(
        user_id=row.user_id,
        profile_id=row.profile_id,
        mode=PrivacyMode(row.privacy_mode),
        persona=row.persona,
        summary=row.summary,
        summary_through=row.summary_through or 0,
        token_budget=row.budget,
        tokens_used=row.used or 0,
        operator_tokens=TokensUsed(row.account_used, row.server_used, row.seconds_left),
        previous=_previous_answer(row) if row.fingerprint is not None else None,
        standing=[StandingMemory.of_json(each) for each in row.standing or ()],
        user_profile=row.user_profile,
    )


def _previous_answer(row: Any) -> PreviousAnswer:
    return PreviousAnswer(
        fingerprint=bytes(row.fingerprint),
        user_message_id=row.user_message_id,
        message_id=row.message_id,
        content=row.answer,
        event_id=row.event_id,
        recalled=row.recalled,
        usage=Usage(row.prompt_tokens or 0, row.completion_tokens or 0),
    )


def check_fingerprint(key: TurnKey, previous: PreviousAnswer) -> None:
    if previous.fingerprint != key.fingerprint:
        raise Unprocessable("This Idempotency-Key was used for another message. Send each message with a new key.")


async def acquire_session(
    run_pipeline: RunPipeline, key: TurnKey, mode: PrivacyMode | None, running_turns: Set[UUID]
) -> Acquired:
    """Other turns in this session are refused until this one ends or its lease expires.

    A mode, if one is given, becomes the mode of the session from this message on."""
    values = key.values(key=key.idempotency_key)
    statements: list[Statement] = [(TAKE_SESSION_SQL, key.values(seconds=LEASE_SECONDS, mode=mode))]
    if key.idempotency_key is not None:
        statements.append((DELETE_INTERRUPTED_ATTEMPT_SQL, values))
    rows = await run_pipeline(*statements, (SELECT_ACQUIRED_SESSION_SQL, values))
    if not rows:
        raise NotFound(f"There is no session {key.session_id}")
    [row] = rows
    if not row.acquired:
        raise Conflict(
            "This session is still answering another message. Wait for that answer, then send this message again.",
            code="turn_in_progress",
            # A turn of another process may have died with it: the session is free once its lease has expired. It has
            # none any more if the other turn ended just after this one was refused.
            headers={"Retry-After": "1" if row.holder in running_turns else str(max(1, row.seconds_left or 1))},
        )
    return Acquired(row.last_position, row.answered)


async def renew_lease(resources: Resources, turn: Prepared) -> bool:
    """Returns False once the session no longer belongs to this turn."""
    project_id, user_id = turn.namespace.project_id, turn.namespace.user_id
    values = {"project_id": project_id, "id": turn.session_id, "turn": turn.id, "seconds": LEASE_SECONDS}
    return bool(await resources.database.pipeline(project_id, user_id, (RENEW_LEASE_SQL, values)))

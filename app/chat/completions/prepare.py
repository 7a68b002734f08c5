"""Validation that must happen before a completion is asked for: in a session, or for a client that keeps its own."""

from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from sqlalchemy import text

from app.chat.completions.messages import ReadMessages, message_tokens
from app.chat.completions.turn import CompletionRequest, CompletionTurn, SessionlessTurn
from app.chat.prompt import estimate_tokens
from app.chat.schemas import TurnOptions
from app.chat.turn.prepare import check_length, check_options, prepare
from app.chat.turn.session_lock import SessionState
from app.chat.types import Answered, ConfirmedForgetting, Prepared, TurnInput
from app.core.config import Config
from app.core.errors import BadRequest, NotFound
from app.core.ports import Json, ModelOptions
from app.core.resources import Resources
from app.core.text.privacy_wishes import is_off_the_record
from app.identity.caller import Caller
from app.identity.transaction import caller_transaction
from app.memory.ledger import Door
from app.memory.namespace import Namespace
from app.memory.standing import SELECT_STANDING_SQL, StandingMemory
from app.profiles.repository import ProfileRepository
from app.projects.token_usage import TokensUsed, budget_flags
from app.sessions.privacy import PrivacyMode, policy_of

SELECT_PROFILE_FOR_TURN_SQL = text(f"""
select s.profile_id, s.persona, j.settings -> 'monthly_token_budget' as budget,
  (select u.prompt_tokens + u.completion_tokens from token_usage u
    where u.project_id = s.project_id and u.month = date_trunc('month', now())::date) as used,
  case when cast(:limits_account as boolean) then private.account_tokens() end as account_used,
  case when cast(:limits_server as boolean) then private.server_tokens() end as server_used,
  extract(epoch from date_trunc('month', now()) + interval '1 month' - now())::int as seconds_left,
  ({SELECT_STANDING_SQL}) as standing,
  case when (j.settings ->> 'profiles_enabled')::boolean then (select u.content from portraits u
    where u.project_id = s.project_id and u.user_id = s.user_id and u.profile_id = s.profile_id) end as user_profile
from (
  select id as profile_id, user_id, project_id, persona from profiles
  where project_id = :project_id and user_id = :user_id
    and case when cast(:profile_id as uuid) is null then is_default else id = :profile_id end
) s
join projects j on j.id = s.project_id
""")  # noqa: S608  # only statements of our own are put together


@dataclass(frozen=True, slots=True)
class CompletionInput:
    """A request for a completion, as a client sent it."""

    body: Json
    """What goes to the model: at least `messages`."""
    options: TurnOptions
    door: Door
    user_id: str | None = None
    profile_id: UUID | None = None
    session_id: UUID | None = None
    privacy_mode: PrivacyMode | None = None
    opens_session: bool = False
    """Whether a session is created if none is named."""


async def prepare_completion(resources: Resources, caller: Caller, request: CompletionInput) -> CompletionTurn:
    """The history of the client replaces the window of a session, unless the client sent none."""
    messages = ReadMessages.of(request.body["messages"])
    _check_size(resources.config, request, messages)
    if request.session_id is None and not request.opens_session:
        turn = await _prepare_without_session(resources, caller, request, messages.question)
        return SessionlessTurn(resources, turn, request=CompletionRequest(request.body, messages))
    message = TurnInput(
        messages.question,
        request.options,
        session_id=request.session_id,
        profile_id=request.profile_id,
        privacy_mode=request.privacy_mode,
        user_id=request.user_id,
        door=request.door,
    )
    prepared = await prepare(resources, caller, message)
    assert not isinstance(prepared, Answered), "only a turn with an Idempotency-Key can have been answered before"
    if messages.history:
        prepared = replace(prepared, summary=None)
    else:
        window = [{"role": each.role, "content": each.content} for each in prepared.recent if each.content]
        messages = replace(messages, history=window)
    return CompletionTurn(resources, prepared, request=CompletionRequest(request.body, messages))


def _check_size(config: Config, request: CompletionInput, messages: ReadMessages) -> None:
    """The operator decides how long a prompt and how long all answers to it may be."""
    needed = message_tokens([*messages.instructions, *messages.latest])
    if tools := request.body.get("tools"):
        needed += estimate_tokens(str(tools))
    if needed > config.context_tokens:
        raise BadRequest(
            f"The request is longer than the {config.context_tokens} tokens that this server accepts."
            " Shorten the instructions or the last message, or ask the operator to raise LLM_CONTEXT_TOKENS.",
            code="context_length_exceeded",
        )
    answers = request.body.get("n")
    longest = (request.options.max_tokens or 1) * (answers if isinstance(answers, int) else 1)
    if longest > config.max_tokens:
        raise BadRequest(
            f"All answers together are longer than this server allows: {config.max_tokens} tokens. Ask for fewer"
            " answers, or lower `max_tokens`.",
            code="max_tokens_too_large",
        )


async def _prepare_without_session(
    resources: Resources, caller: Caller, request: CompletionInput, question: str
) -> Prepared:
    config = resources.config
    check_options(config, request.options)
    check_length(config, question)
    user_id, mode = caller.act_for(request.user_id), request.privacy_mode or PrivacyMode.NORMAL
    mode = PrivacyMode.INCOGNITO if is_off_the_record(question) else mode
    await resources.limits.admit_chat(f"{caller.project_id}:{user_id}")
    state = await _read_profile(resources, caller, user_id, request.profile_id, mode)
    state.check_budget(config)
    policy, options = policy_of(mode), request.options
    return Prepared(
        id=uuid4(),
        session_id=uuid4(),
        account_id=caller.account_id,
        namespace=Namespace(caller.project_id, user_id, state.profile_id),
        mode=mode,
        policy=policy,
        persona=state.persona,
        summary=None,
        standing=state.standing if policy.reads_memories else (),
        user_profile=state.user_profile if policy.reads_memories else None,
        content=question,
        options=ModelOptions(
            model=options.model,
            max_tokens=options.max_tokens or config.answer_tokens,
            keep=policy.provider_may_store,
        ),
        recent=(),
        confirmed=ConfirmedForgetting.of(options),
        idempotency_key=None,
        fingerprint=b"",
        door=request.door,
        in_session=False,
    )


async def _read_profile(
    resources: Resources, caller: Caller, user_id: str, profile_id: UUID | None, mode: PrivacyMode
) -> SessionState:
    """One round trip, except for the first request of a user, who has no profile yet."""
    values = {"project_id": caller.project_id, "user_id": user_id, "profile_id": profile_id}
    statement = (SELECT_PROFILE_FOR_TURN_SQL, {**values, **budget_flags(resources.config)})
    rows = await resources.database.pipeline(caller.project_id, caller.user_id, statement)
    if not rows and profile_id is not None:
        raise NotFound(f"There is no profile {profile_id}")
    if not rows:
        async with caller_transaction(resources.database, caller) as tx:
            await ProfileRepository(tx, caller.project_id).default_of(user_id)
        rows = await resources.database.pipeline(caller.project_id, caller.user_id, statement)
    [row] = rows
    return SessionState(
        user_id=user_id,
        profile_id=row.profile_id,
        mode=mode,
        persona=row.persona,
        summary=None,
        summary_through=0,
        token_budget=row.budget,
        tokens_used=row.used or 0,
        operator_tokens=TokensUsed(row.account_used, row.server_used, row.seconds_left),
        previous=None,
        standing=[StandingMemory.of_json(each) for each in row.standing or ()],
        user_profile=row.user_profile,
    )

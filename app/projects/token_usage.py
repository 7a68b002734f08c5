"""Count the tokens that a project uses, in chat turns and in background jobs, and check the operator's budgets."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from app.core.config import Config
from app.core.database.database import TextStatement
from app.core.errors import TooManyRequests
from app.core.ports import ChatMessage, ModelOptions, Token, Usage
from app.core.resources import Resources

ADD_TOKEN_USAGE_SQL = text("""
with month as (
  insert into token_usage (project_id, month, prompt_tokens, completion_tokens, turns)
  values (:project_id, date_trunc('month', now())::date, :prompt, :completion, :turns)
  on conflict (project_id, month) do update set prompt_tokens = token_usage.prompt_tokens + excluded.prompt_tokens,
    completion_tokens = token_usage.completion_tokens + excluded.completion_tokens,
    turns = token_usage.turns + excluded.turns
)
insert into usage_by_day (project_id, day, key_id, prompt_tokens, completion_tokens, cost)
values (:project_id, (now() at time zone 'UTC')::date, private.acting_key(), :prompt, :completion, :cost)
on conflict (project_id, day, key_id) do update set
  prompt_tokens = usage_by_day.prompt_tokens + excluded.prompt_tokens,
  completion_tokens = usage_by_day.completion_tokens + excluded.completion_tokens,
  cost = usage_by_day.cost + excluded.cost
""")
SELECT_TOKENS_USED_SQL = text("""
select case when cast(:limits_account as boolean) then private.account_tokens() end as account_used,
  case when cast(:limits_server as boolean) then private.server_tokens() end as server_used,
  extract(epoch from date_trunc('month', now()) + interval '1 month' - now())::int as seconds_left
""")


@dataclass(frozen=True, slots=True)
class TokensUsed:
    """What counts this month towards the operator's budgets. None if there is no such budget."""

    account: int | None
    """Of the owner of the project who has used the least, in all projects of this owner."""
    server: int | None
    seconds_left: int

    def exceeded(self, config: Config) -> TooManyRequests | None:
        if self.account is not None and self.account >= (config.account_token_budget or 0):
            return self.refuse(f"The owner of this project has used {config.account_token_budget:,} tokens")
        if self.server is not None and self.server >= (config.server_token_budget or 0):
            return self.refuse(f"This server has used {config.server_token_budget:,} tokens")
        return None

    def refuse(self, used: str) -> TooManyRequests:
        """`used` is the beginning of a sentence that names the budget."""
        reset = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.seconds_left)
        return TooManyRequests(
            f"{used}, its budget of this month. Ask the operator to raise it, or wait until {reset:%Y-%m-%d}.",
            code="token_budget_used",
            headers={"Retry-After": str(max(1, self.seconds_left))},
        )


def budget_flags(config: Config) -> dict[str, object]:
    """Tokens are added up only for the budgets that the operator has set."""
    return {
        "limits_account": config.account_token_budget is not None,
        "limits_server": config.server_token_budget is not None,
    }


async def find_exceeded_budget(resources: Resources, project_id: UUID) -> TooManyRequests | None:
    """For background work. A chat turn reads its budgets together with its session."""
    flags = budget_flags(resources.config)
    if not any(flags.values()):
        return None
    [row] = await resources.database.pipeline(project_id, None, (SELECT_TOKENS_USED_SQL, flags))
    return TokensUsed(row.account_used, row.server_used, row.seconds_left).exceeded(resources.config)


def usage_statement(
    config: Config, project_id: UUID, usage: Usage, *, model: str | None = None, turns: int = 0
) -> TextStatement:
    """Counts the tokens for the month of the project, and for the day of the key that sent the request."""
    values = {
        "prompt": usage.prompt_tokens,
        "completion": usage.completion_tokens,
        "cost": config.cost_of(usage, model),
        "turns": turns,
    }
    return ADD_TOKEN_USAGE_SQL, {"project_id": project_id, **values}


async def ask_model(
    resources: Resources, project_id: UUID, messages: Sequence[ChatMessage], options: ModelOptions
) -> str:
    """Return the whole answer and count its tokens. Call it outside a transaction, because the model is slow."""
    if error := await find_exceeded_budget(resources, project_id):
        raise error
    tokens: list[str] = []
    async for piece in resources.llm.stream(messages, options):
        if isinstance(piece, Token):
            tokens.append(piece.text)
        elif piece != Usage():
            await resources.database.pipeline(
                project_id, None, usage_statement(resources.config, project_id, piece, model=options.model)
            )
    return "".join(tokens)

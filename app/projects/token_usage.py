"""Count the tokens that a project uses, in chat turns and in background jobs."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from app.core.database.database import TextStatement
from app.core.ports import ChatMessage, ModelOptions, Token, Usage
from app.core.resources import Resources

ADD_TOKEN_USAGE_SQL = text("""
insert into token_usage (project_id, month, prompt_tokens, completion_tokens, turns)
values (:project_id, date_trunc('month', now())::date, :prompt, :completion, :turns)
on conflict (project_id, month) do update set prompt_tokens = token_usage.prompt_tokens + excluded.prompt_tokens,
  completion_tokens = token_usage.completion_tokens + excluded.completion_tokens,
  turns = token_usage.turns + excluded.turns
""")


def usage_statement(project_id: UUID, usage: Usage, *, turns: int = 0) -> TextStatement:
    values = {"prompt": usage.prompt_tokens, "completion": usage.completion_tokens, "turns": turns}
    return ADD_TOKEN_USAGE_SQL, {"project_id": project_id, **values}


async def ask_model(
    resources: Resources, project_id: UUID, messages: Sequence[ChatMessage], options: ModelOptions
) -> str:
    """Return the whole answer and count its tokens. Call it outside a transaction, because the model is slow."""
    tokens: list[str] = []
    async for piece in resources.llm.stream(messages, options):
        if isinstance(piece, Token):
            tokens.append(piece.text)
        elif piece != Usage():
            await resources.database.pipeline(project_id, None, usage_statement(project_id, piece))
    return "".join(tokens)

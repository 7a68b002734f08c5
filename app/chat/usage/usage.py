"""The tokens that a project has used this month. `turn/session_lock.py` compares them with the project's budget."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

BUDGET_SETTING = "monthly_token_budget"
SELECT_MONTHLY_USAGE_SQL = text("""
select date_trunc('month', now())::date as month, coalesce(sum(prompt_tokens), 0)::bigint as prompt_tokens,
  coalesce(sum(completion_tokens), 0)::bigint as completion_tokens, coalesce(sum(turns), 0)::bigint as turns
from token_usage where project_id = :project_id and month = date_trunc('month', now())::date
""")


async def read_usage(tx: AsyncSession, project_id: UUID) -> Mapping[str, object]:
    """A row of zeros if nothing was used."""
    return dict((await tx.execute(SELECT_MONTHLY_USAGE_SQL, {"project_id": project_id})).mappings().one())

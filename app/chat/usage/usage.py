"""Tokens a project has used this month, against a budget of its own if it has one."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import TooManyRequests

SETTING = "monthly_token_budget"
READ = text("""
select date_trunc('month', now())::date as month, coalesce(sum(prompt_tokens), 0)::bigint as prompt_tokens,
  coalesce(sum(completion_tokens), 0)::bigint as completion_tokens, coalesce(sum(turns), 0)::bigint as turns
from token_usage where project_id = :project_id and month = date_trunc('month', now())::date
""")


@dataclass(frozen=True, slots=True)
class Budget:
    tokens: object
    """A number, if the project has a budget."""
    used: int
    seconds_left: int
    """Until the next month begins."""

    def check(self) -> None:
        if isinstance(self.tokens, int) and self.used >= self.tokens:
            raise TooManyRequests(
                f"This project has used its {self.tokens} tokens of the month: raise {SETTING}, or wait for the next"
                " month",
                code="token_budget_used",
                headers={"Retry-After": str(self.seconds_left)},
            )


async def read_usage(tx: AsyncSession, project_id: UUID) -> Mapping[str, object]:
    """Of this month, whether anything was used or not."""
    return dict((await tx.execute(READ, {"project_id": project_id})).mappings().one())

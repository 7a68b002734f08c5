"""/v1/usage: the tokens that a project has used this month, and its monthly budget."""

import datetime as dt

from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.chat.usage.usage import BUDGET_SETTING, read_usage
from app.core.http.strict_requests import RequestBody, own_router
from app.identity.administration import Administrative
from app.identity.caller import Caller, ProjectReader, ProjectWriter
from app.identity.transaction import Transaction
from app.projects.repository import SettingsRepository

router = own_router(prefix="/v1/usage", tags=["Chat"])
MAX_BUDGET = 2**53 - 1
"""The largest integer that every JSON client can represent."""


class UsageRead(BaseModel):
    month: dt.date = Field(description="The first day of the month, in UTC.")
    prompt_tokens: int
    completion_tokens: int
    turns: int
    monthly_token_budget: int | None = Field(description="Null if there is no limit.")


class UsageChange(RequestBody):
    monthly_token_budget: int | None = Field(ge=0, le=MAX_BUDGET, description="Null removes the limit.")


@router.get("")
async def get_usage(caller: ProjectReader, tx: Transaction) -> UsageRead:
    """Returns the tokens and turns that the project has used this month."""
    return await _read_usage(tx, caller)


@router.patch("", dependencies=[Administrative])
async def change_budget(body: UsageChange, caller: ProjectWriter, tx: Transaction) -> UsageRead:
    """Sets the monthly token budget. Once it is used up, turns are refused until it is raised or the month ends."""
    await SettingsRepository(tx, caller.project_id).change(**{BUDGET_SETTING: body.monthly_token_budget})
    return await _read_usage(tx, caller)


async def _read_usage(tx: AsyncSession, caller: Caller) -> UsageRead:
    settings = await SettingsRepository(tx, caller.project_id).get()
    used = await read_usage(tx, caller.project_id)
    return UsageRead.model_validate({**used, BUDGET_SETTING: settings.get(BUDGET_SETTING)})

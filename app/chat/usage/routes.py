"""/v1/usage: what a project has used of its tokens this month, and how many it may use."""

import datetime as dt

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.chat.usage.usage import SETTING, read_usage
from app.identity.caller import Caller, ProjectReader, ProjectWriter
from app.identity.transaction import Transaction
from app.projects.repository import SettingsRepository

router = APIRouter(prefix="/v1/usage", tags=["chat"])
MOST = 2**53 - 1
"""What every client's JSON can count to."""


class UsageRead(BaseModel):
    month: dt.date = Field(description="Its first day, in UTC")
    prompt_tokens: int
    completion_tokens: int
    turns: int
    monthly_token_budget: int | None = Field(description="Null for as many as are asked for")


class UsageChange(BaseModel):
    monthly_token_budget: int | None = Field(ge=0, le=MOST, description="Null takes the limit away")


@router.get("")
async def get_usage(caller: ProjectReader, tx: Transaction) -> UsageRead:
    return await _shown(tx, caller)


@router.patch("")
async def change_budget(body: UsageChange, caller: ProjectWriter, tx: Transaction) -> UsageRead:
    """Turns are refused once the budget is used up, until the month is over or it is raised."""
    await SettingsRepository(tx, caller.project_id).change(**{SETTING: body.monthly_token_budget})
    return await _shown(tx, caller)


async def _shown(tx: AsyncSession, caller: Caller) -> UsageRead:
    settings = await SettingsRepository(tx, caller.project_id).get()
    used = await read_usage(tx, caller.project_id)
    return UsageRead.model_validate({**used, SETTING: settings.get(SETTING)})

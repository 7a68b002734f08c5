"""Retention concerns all users of a project, so callers that are limited to one user neither read nor change it."""

from typing import Annotated

from fastapi import Depends

from app.core.errors import Forbidden
from app.identity.caller import Caller, ProjectReader, ProjectWriter


def refuse_one_user(caller: Caller) -> Caller:
    if caller.user_id is not None:
        raise Forbidden("Retention concerns the whole project, and you can only act for yourself.")
    return caller


async def read_retention(caller: ProjectReader) -> Caller:
    return refuse_one_user(caller)


async def change_retention(caller: ProjectWriter) -> Caller:
    return refuse_one_user(caller)


RetentionReader = Annotated[Caller, Depends(read_retention)]
RetentionWriter = Annotated[Caller, Depends(change_retention)]

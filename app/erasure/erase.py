"""Begin an erasure, and wait for it as long as a request may."""

import asyncio
import hashlib
import hmac
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import AppError, Conflict
from app.core.jobs import defer
from app.core.resources import Resources
from app.erasure.account import HELD, check_not_held
from app.erasure.jobs import complete
from app.erasure.models import Erasure, SubjectKind
from app.erasure.repository import ErasureRepository
from app.erasure.run import run_erasure
from app.erasure.subject import Subject, resolve_subject
from app.identity.caller import Caller
from app.identity.transaction import caller_transaction
from app.projects.provisioning import check_account_may_leave
from app.retention.holds import held_users

log = structlog.get_logger()
WAIT_SECONDS = 10.0
SETTLE_AFTER_SECONDS = 60
"""Longer than a request may take to write down what it read before the erasure."""


async def erase(resources: Resources, caller: Caller, subject: Subject, *, wait: float = WAIT_SECONDS) -> Erasure:
    """The erasure is durable once it has begun. It goes on if this is cancelled or takes longer than `wait`."""
    if subject.kind is SubjectKind.ACCOUNT and subject.id == caller.account_id:
        await check_account_may_leave(resources.database, subject.id)
        await check_not_held(resources.database, subject.id)
        await resources.identity.admin_get(subject.id)
    erasure_id = await begin_erasure(resources, caller, subject)
    running = resources.background.start(_run(resources, caller.project_id, erasure_id))
    await asyncio.wait([running], timeout=wait)
    # Not as the caller, whose account may be gone.
    async with resources.database.transaction(caller.project_id) as tx:
        return await ErasureRepository(tx, caller.project_id).get(erasure_id)


async def begin_erasure(resources: Resources, caller: Caller, subject: Subject) -> UUID:
    async with caller_transaction(resources.database, caller) as tx:
        resolved = await resolve_subject(tx, caller, subject)
        if resolved.users & await held_users(tx):
            raise Conflict(HELD)
        erasure = await ErasureRepository(tx, caller.project_id).add(
            kind=subject.kind,
            subject_hash=hash_subject(resources.key_pepper, caller.project_id, subject),
            requested_by=caller.user_id,
            subject=subject.name,
            scope=resolved.scope.model_dump(mode="json"),
        )
        ids = {"project_id": str(caller.project_id), "erasure_id": str(erasure.id)}
        await defer(tx, complete, lock=f"erasure:{erasure.id}", in_seconds=SETTLE_AFTER_SECONDS, **ids)
    return erasure.id


async def find_erasure(resources: Resources, caller: Caller, erasure_id: UUID) -> Erasure:
    async with caller_transaction(resources.database, caller) as tx:
        return await ErasureRepository(tx, caller.project_id).get(erasure_id)


def hash_subject(pepper: bytes, project_id: UUID, subject: Subject) -> bytes:
    identity = f"erasure\n{project_id}\n{subject.kind}\n{subject.name}"
    return hmac.new(pepper, identity.encode(), hashlib.sha256).digest()


async def _run(resources: Resources, project_id: UUID, erasure_id: UUID) -> None:
    try:
        await run_erasure(resources, project_id, erasure_id)
    except (AppError, OSError, SQLAlchemyError) as error:
        log.warning("erasure.interrupted", erasure_id=str(erasure_id), exc_info=error)

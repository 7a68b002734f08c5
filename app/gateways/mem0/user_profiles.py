"""mem0's user profiles: /v2/profiles/… and /v2/entities/user/…/profile/. In the house they are called portraits."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.core.errors import BadRequest
from app.core.resources import ResourcesDep
from app.core.storable_text import no_nul
from app.gateways.mem0.entities.entities import read_name
from app.gateways.mem0.errors import REFUSALS, PlainRefusals
from app.identity.caller import MemoryReader, MemoryWriter, ProjectReader, ProjectWriter
from app.identity.transaction import Transaction
from app.memory.ledger.models import MemoryEvent
from app.memory.user_profiles.generate import INSUFFICIENT
from app.memory.user_profiles.profile_schema import Shape, check_schema, read_settings
from app.memory.user_profiles.repository import PortraitJob, PortraitJobRepository
from app.memory.user_profiles.request import Asked, Seen, ask_for, ask_for_sample, see_portrait
from app.projects.repository import SettingsRepository

router = APIRouter(tags=["mem0: user profiles"], responses=REFUSALS, route_class=PlainRefusals)
JOBS = "/v2/profiles/jobs/"
Words = Annotated[str, Field(max_length=20_000), AfterValidator(no_nul)]
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]
Status = Literal["pending", "running", "succeeded", "partially_succeeded", "failed"]


class OfUsers(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="forbid")

    shape: Shape | None = Field(None, alias="schema", description="A JSON schema; null for one property per category")
    custom_instructions: Words | None = None


class OfEntities(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user: OfUsers = OfUsers()


class SettingsChange(BaseModel):
    model_config = ConfigDict(extra="allow")

    enabled: bool | None = None
    entities: OfEntities = OfEntities()


class ShownOfUsers(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    shape: Shape | None = Field(alias="schema")
    custom_instructions: str | None


class ShownSettings(BaseModel):
    enabled: bool
    capabilities: dict[str, Any]
    entities: dict[Literal["user"], ShownOfUsers]


class ProfileShown(BaseModel):
    profile: Shape = Field(description="Empty unless `status` is succeeded, or there is one from before")
    status: Literal["succeeded", "pending", "failed", "not_enabled", "insufficient_data"]
    entity_type: Literal["user"] = "user"
    entity_id: str
    updated_at: str | None = None
    generation_count: int = 0
    error: str | None = None
    note: str | None = None


class JobAsked(BaseModel):
    operation: Literal["trigger", "sample"]
    entity_type: Literal["user"] = "user"
    entity_id: Words | None = Field(None, description="Whose profile: for `trigger`")
    limit: int = Field(3, ge=1, le=10, description="How many users: for `sample`")


class JobStarted(BaseModel):
    job_id: UUID
    status: Status
    status_url: str
    operation: str
    entity_type: Literal["user"] = "user"
    entity_count_reserved: int
    event_id: UUID | None
    replayed: bool
    sampled: int
    entity_ids: list[str]


class JobProgress(BaseModel):
    id: UUID
    operation: str
    entity_type: Literal["user"] = "user"
    status: Status
    total: int
    enumeration_complete: bool = True
    completed: int
    succeeded: int
    failed: int
    skipped: int = Field(description="Too little was known of them, or they were erased meanwhile")
    errors: list[str]


class JobShown(BaseModel):
    job: JobProgress


@router.get("/v2/profiles/settings/")
async def get_profile_settings(caller: ProjectReader, tx: Transaction, resources: ResourcesDep) -> ShownSettings:
    return shown(await SettingsRepository(tx, caller.project_id).get(), by_model=resources.llm.name != "offline")


@router.post("/v2/profiles/settings/")
async def update_profile_settings(
    body: SettingsChange, caller: ProjectWriter, tx: Transaction, resources: ResourcesDep
) -> ShownSettings:
    """Only what is sent is changed; null takes a schema or instructions away."""
    if body.model_extra:
        raise BadRequest(f"Unsupported settings: {min(body.model_extra)[:100]}. It takes enabled, and entities.user")
    changes = changes_in(body)
    settings = SettingsRepository(tx, caller.project_id)
    kept = await settings.change(**changes) if changes else await settings.get()
    return shown(kept, by_model=resources.llm.name != "offline")


def changes_in(body: SettingsChange) -> dict[str, object]:
    sent = body.entities.user.model_fields_set
    if body.entities.user.shape is not None:
        check_schema(body.entities.user.shape)
    enabled = {"profiles_enabled": body.enabled} if body.enabled is not None else {}
    schema = {"profiles_schema": body.entities.user.shape} if "shape" in sent else {}
    more = {"profiles_instructions": body.entities.user.custom_instructions} if "custom_instructions" in sent else {}
    return {**enabled, **schema, **more}


def shown(settings: Mapping[str, Any], *, by_model: bool) -> ShownSettings:
    kept = read_settings(settings)
    user = ShownOfUsers(shape=kept.schema, custom_instructions=kept.instructions)
    capabilities = {"entity_types": ["user"], "operations": ["trigger", "sample"], "language_model": by_model}
    return ShownSettings(enabled=kept.enabled, capabilities=capabilities, entities={"user": user})


@router.get("/v2/entities/user/{user_id:path}/profile/")
async def get_user_profile(user_id: str, caller: MemoryReader, tx: Transaction) -> ProfileShown:
    whose = caller.act_for(read_name(user_id))
    return as_profile(whose, await see_portrait(tx, caller, whose))


def as_profile(user_id: str, seen: Seen) -> ProfileShown:
    made, last = seen.portrait, seen.last
    return ProfileShown(
        profile=made.content if made else {},
        status=seen.status,
        entity_id=user_id,
        updated_at=made.updated_at.isoformat() if made else None,
        generation_count=made.generation_count if made else 0,
        error=last.error if last and seen.status == "failed" else None,
        note=made.note if made else None,
    )


@router.post(JOBS, status_code=202)
async def start_profile_job(
    body: JobAsked, caller: MemoryWriter, tx: Transaction, idempotency_key: Key = None
) -> JobStarted:
    """`trigger` makes one user's profile, `sample` those of a few users; both are kept."""
    key = idempotency_key or str(uuid.uuid4())
    if body.operation == "sample":
        return as_started(await ask_for_sample(tx, caller, body.limit, key))
    return as_started(await ask_for(tx, caller, caller.act_for(read_name(body.entity_id or "")), key))


def as_started(asked: Asked) -> JobStarted:
    users = [event.user_id for event in asked.events if event.user_id is not None]
    return JobStarted(
        job_id=asked.job.id,
        status=progress(asked.job, asked.events).status,
        status_url=f"{JOBS}{asked.job.id}/",
        operation=asked.job.operation,
        entity_count_reserved=len(asked.job.event_ids),
        event_id=asked.job.event_ids[0] if asked.job.operation == "trigger" else None,
        replayed=asked.replayed,
        sampled=len(asked.job.event_ids),
        entity_ids=users,
    )


@router.get(JOBS + "{job_id}/")
async def get_profile_job(job_id: str, caller: MemoryReader, tx: Transaction) -> JobShown:
    jobs = PortraitJobRepository(tx, caller.project_id, caller.user_id)
    job = await jobs.get(read_job_id(job_id))
    return JobShown(job=progress(job, await jobs.events_of(job)))


def read_job_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadRequest("The id of a job is a UUID, such as 550e8400-e29b-41d4-a716-446655440000") from None


def progress(job: PortraitJob, events: Sequence[MemoryEvent]) -> JobProgress:
    total, failed = len(job.event_ids), sum(event.status == "FAILED" for event in events)
    done = [event for event in events if event.status == "SUCCEEDED"]
    poor = sum(event.request.get("outcome") == INSUFFICIENT for event in done)
    skipped = poor + total - len(events)
    completed = len(done) + failed + total - len(events)
    begun = completed > 0 or any(event.status == "RUNNING" for event in events)
    return JobProgress(
        id=job.id,
        operation=job.operation,
        status=status_of(total, completed, failed, begun=begun),
        total=total,
        completed=completed,
        succeeded=len(done) - poor,
        failed=failed,
        skipped=skipped,
        errors=sorted({event.error for event in events if event.error}),
    )


def status_of(total: int, completed: int, failed: int, *, begun: bool) -> Status:
    if completed < total:
        return "running" if begun else "pending"
    if failed:
        return "failed" if failed == total else "partially_succeeded"
    return "succeeded"

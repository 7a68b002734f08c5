"""mem0's user profiles: /v2/profiles/… and /v2/entities/user/…/profile/."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.core.errors import BadRequest
from app.core.resources import ResourcesDep
from app.core.storable_text import no_nul
from app.gateways.mem0.entities.entities import check_entity_id
from app.gateways.mem0.errors import ERROR_RESPONSES, Mem0Route
from app.gateways.mem0.project_check import parse_uuid
from app.identity.administration import Administrative
from app.identity.caller import MemoryReader, MemoryWriter, ProjectReader, ProjectWriter
from app.identity.transaction import Transaction
from app.memory.ledger import MemoryEvent
from app.memory.user_profiles import (
    INSUFFICIENT,
    RequestedProfiles,
    Shape,
    UserProfileJob,
    UserProfileJobRepository,
    UserProfileState,
    check_schema,
    read_settings,
    read_user_profile,
    request_sample,
    request_user_profile,
)
from app.projects.repository import SettingsRepository

router = APIRouter(tags=["User profiles"], responses=ERROR_RESPONSES, route_class=Mem0Route)
JOBS_PATH = "/v2/profiles/jobs/"
Text = Annotated[str, Field(max_length=20_000), AfterValidator(no_nul)]
IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]
JobStatus = Literal["pending", "running", "succeeded", "partially_succeeded", "failed"]


class UserProfileOptions(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="forbid")

    shape: Shape | None = Field(
        None, alias="schema", description="A JSON schema. null generates one property for each category."
    )
    custom_instructions: Text | None = None


class EntityProfileOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user: UserProfileOptions = UserProfileOptions()


class ProfileSettingsUpdate(BaseModel):
    model_config = ConfigDict(extra="allow")

    enabled: bool | None = None
    entities: EntityProfileOptions = EntityProfileOptions()


class UserProfileOptionsRead(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    shape: Shape | None = Field(alias="schema")
    custom_instructions: str | None


class ProfileSettingsRead(BaseModel):
    enabled: bool
    capabilities: dict[str, Any]
    entities: dict[Literal["user"], UserProfileOptionsRead]


class UserProfileRead(BaseModel):
    profile: Shape = Field(description="The last generated profile. Empty if there is none.")
    status: Literal["succeeded", "pending", "failed", "not_enabled", "insufficient_data"]
    entity_type: Literal["user"] = "user"
    entity_id: str
    updated_at: str | None = None
    generation_count: int = 0
    error: str | None = None
    note: str | None = None


class ProfileJobCreate(BaseModel):
    operation: Literal["trigger", "sample"]
    entity_type: Literal["user"] = "user"
    entity_id: Text | None = Field(None, description="For `trigger`: the user to generate a profile for.")
    limit: int = Field(3, ge=1, le=10, description="For `sample`: the number of users.")


class ProfileJobStarted(BaseModel):
    job_id: UUID
    status: JobStatus
    status_url: str
    operation: str
    entity_type: Literal["user"] = "user"
    entity_count_reserved: int
    event_id: UUID | None
    replayed: bool
    sampled: int
    entity_ids: list[str]


class ProfileJobProgress(BaseModel):
    id: UUID
    operation: str
    entity_type: Literal["user"] = "user"
    status: JobStatus
    total: int
    enumeration_complete: bool = True
    completed: int
    succeeded: int
    failed: int
    skipped: int = Field(description="Users with too few memories, and users that were erased meanwhile.")
    errors: list[str]


class ProfileJobRead(BaseModel):
    job: ProfileJobProgress


@router.get("/v2/profiles/settings/")
async def get_profile_settings(caller: ProjectReader, tx: Transaction, resources: ResourcesDep) -> ProfileSettingsRead:
    """Returns the project's settings for user profiles."""
    settings = await SettingsRepository(tx, caller.project_id).get()
    return render_settings(settings, by_model=resources.llm.name != "offline")


@router.post("/v2/profiles/settings/", dependencies=[Administrative])
async def update_profile_settings(
    body: ProfileSettingsUpdate, caller: ProjectWriter, tx: Transaction, resources: ResourcesDep
) -> ProfileSettingsRead:
    """Updates the settings that are sent. null removes a schema or instructions."""
    if body.model_extra:
        raise BadRequest(
            f"Unsupported settings: {min(body.model_extra)[:100]}. Supported are enabled and entities.user"
        )
    changes = read_changes(body)
    settings = SettingsRepository(tx, caller.project_id)
    updated = await settings.change(**changes) if changes else await settings.get()
    return render_settings(updated, by_model=resources.llm.name != "offline")


def read_changes(body: ProfileSettingsUpdate) -> dict[str, object]:
    sent = body.entities.user.model_fields_set
    if body.entities.user.shape is not None:
        check_schema(body.entities.user.shape)
    enabled = {"profiles_enabled": body.enabled} if body.enabled is not None else {}
    schema = {"profiles_schema": body.entities.user.shape} if "shape" in sent else {}
    text = body.entities.user.custom_instructions
    instructions = {"profiles_instructions": text} if "custom_instructions" in sent else {}
    return {**enabled, **schema, **instructions}


def render_settings(settings: Mapping[str, Any], *, by_model: bool) -> ProfileSettingsRead:
    current = read_settings(settings)
    user = UserProfileOptionsRead(shape=current.schema, custom_instructions=current.instructions)
    capabilities = {"entity_types": ["user"], "operations": ["trigger", "sample"], "language_model": by_model}
    return ProfileSettingsRead(enabled=current.enabled, capabilities=capabilities, entities={"user": user})


@router.get("/v2/entities/user/{user_id:path}/profile/")
async def get_user_profile(user_id: str, caller: MemoryReader, tx: Transaction) -> UserProfileRead:
    """Returns the structured summary of what is remembered about one user."""
    user_id = caller.act_for(check_entity_id(user_id))
    return render_profile(user_id, await read_user_profile(tx, caller, user_id))


def render_profile(user_id: str, state: UserProfileState) -> UserProfileRead:
    profile, last_event = state.user_profile, state.last_event
    return UserProfileRead(
        profile=profile.content if profile else {},
        status=state.status,
        entity_id=user_id,
        updated_at=profile.updated_at.isoformat() if profile else None,
        generation_count=profile.generation_count if profile else 0,
        error=last_event.error if last_event and state.status == "failed" else None,
        note=profile.note if profile else None,
    )


@router.post(JOBS_PATH, status_code=202)
async def start_profile_job(
    body: ProfileJobCreate, caller: MemoryWriter, tx: Transaction, idempotency_key: IdempotencyKey = None
) -> ProfileJobStarted:
    """Generates profiles in the background: of one user with `trigger`, of a few users with `sample`."""
    key = idempotency_key or str(uuid.uuid4())
    if body.operation == "sample":
        return render_started_job(await request_sample(tx, caller, body.limit, key))
    user_id = caller.act_for(check_entity_id(body.entity_id or ""))
    return render_started_job(await request_user_profile(tx, caller, user_id, key))


def render_started_job(requested: RequestedProfiles) -> ProfileJobStarted:
    users = [event.user_id for event in requested.events if event.user_id is not None]
    return ProfileJobStarted(
        job_id=requested.job.id,
        status=job_progress(requested.job, requested.events).status,
        status_url=f"{JOBS_PATH}{requested.job.id}/",
        operation=requested.job.operation,
        entity_count_reserved=len(requested.job.event_ids),
        event_id=requested.job.event_ids[0] if requested.job.operation == "trigger" else None,
        replayed=requested.replayed,
        sampled=len(requested.job.event_ids),
        entity_ids=users,
    )


@router.get(JOBS_PATH + "{job_id}/")
async def get_profile_job(job_id: str, caller: MemoryReader, tx: Transaction) -> ProfileJobRead:
    """Returns the progress of a job that generates user profiles."""
    jobs = UserProfileJobRepository(tx, caller.project_id, caller.user_id)
    job = await jobs.get(parse_uuid(job_id, "a job"))
    return ProfileJobRead(job=job_progress(job, await jobs.events_of(job)))


def job_progress(job: UserProfileJob, events: Sequence[MemoryEvent]) -> ProfileJobProgress:
    total, failed = len(job.event_ids), sum(event.status == "FAILED" for event in events)
    done = [event for event in events if event.status == "SUCCEEDED"]
    insufficient = sum(event.request.get("outcome") == INSUFFICIENT for event in done)
    erased = total - len(events)
    completed = len(done) + failed + erased
    begun = completed > 0 or any(event.status == "RUNNING" for event in events)
    return ProfileJobProgress(
        id=job.id,
        operation=job.operation,
        status=job_status(total, completed, failed, begun=begun),
        total=total,
        completed=completed,
        succeeded=len(done) - insufficient,
        failed=failed,
        skipped=insufficient + erased,
        errors=sorted({event.error for event in events if event.error}),
    )


def job_status(total: int, completed: int, failed: int, *, begun: bool) -> JobStatus:
    if completed < total:
        return "running" if begun else "pending"
    if failed:
        return "failed" if failed == total else "partially_succeeded"
    return "succeeded"

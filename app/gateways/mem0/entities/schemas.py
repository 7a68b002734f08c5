import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from app.core.storable_text import no_nul
from app.gateways.mem0.memories.message_schemas import Metadata
from app.gateways.mem0.memories.schemas import EntityId


class EntityDescription(BaseModel):
    """Replaces an earlier description."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(no_nul)] | None = None
    metadata: Metadata | None = None


class UserCreate(EntityDescription):
    user_id: EntityId


class AgentCreate(EntityDescription):
    agent_id: EntityId


class AppCreate(EntityDescription):
    app_id: EntityId


class RunCreate(EntityDescription):
    run_id: EntityId


class EntityRead(BaseModel):
    id: str
    name: str
    type: Literal["user", "agent", "app", "run"]
    display_name: str | None
    metadata: dict[str, Any]
    total_memories: int
    owner: str
    organization: str
    created_at: dt.datetime
    updated_at: dt.datetime
    last_active: dt.datetime = Field(description="The last memory, change of the description or, of a user, chat turn.")


class EntityPage(BaseModel):
    count: int
    next: str | None
    previous: str | None
    total_users: int
    total_agents: int
    total_apps: int
    total_runs: int
    results: list[EntityRead]


class EntityNames(BaseModel):
    user_id: list[str]
    agent_id: list[str]
    app_id: list[str]
    run_id: list[str]

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, StringConstraints

from app.core.storable_text import no_nul
from app.gateways.mem0.memories.message_schemas import Metadata
from app.gateways.mem0.memories.schemas import Name


class Described(BaseModel):
    """A second time replaces what was said the first time."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(no_nul)] | None = None
    metadata: Metadata | None = None


class UserCreate(Described):
    user_id: Name


class AgentCreate(Described):
    agent_id: Name


class AppCreate(Described):
    app_id: Name


class RunCreate(Described):
    run_id: Name


class EntityShown(BaseModel):
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


class EntityPage(BaseModel):
    count: int
    next: str | None
    previous: str | None
    total_users: int
    total_agents: int
    total_apps: int
    total_runs: int
    results: list[EntityShown]


class EntityNames(BaseModel):
    user_id: list[str]
    agent_id: list[str]
    app_id: list[str]
    run_id: list[str]

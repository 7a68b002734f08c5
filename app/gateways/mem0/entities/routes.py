"""/v1/entities/, /v2/entities/: who there is to remember; POST /v1/users/ and the like: what is said about them."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.core.resources import ResourcesDep
from app.gateways.mem0.entities.entities import as_entity, describe_entity, forget_entity, read_name, read_type, totals
from app.gateways.mem0.entities.schemas import (
    AgentCreate,
    AppCreate,
    Described,
    EntityNames,
    EntityPage,
    EntityShown,
    RunCreate,
    UserCreate,
)
from app.gateways.mem0.errors import REFUSALS, PlainRefusals
from app.gateways.mem0.memories.schemas import Started
from app.gateways.mem0.responses import Json, envelope
from app.identity.caller import Caller, MemoryReader, MemoryWriter
from app.identity.transaction import Transaction
from app.memory.entities import COLUMNS, EntityRepository, Type

router = APIRouter(tags=["entities"], responses=REFUSALS, route_class=PlainRefusals)
EVERYBODY = 100_000
DELETING = "Delete in progress. This may take some time."


@router.get("/v1/entities/", responses={200: {"model": EntityPage}}, response_class=Json)
async def list_entities(
    request: Request,
    caller: MemoryReader,
    tx: Transaction,
    page: Annotated[int | None, Query(ge=1, le=EVERYBODY)] = None,
    page_size: Annotated[int | None, Query(ge=1, le=200)] = None,
) -> Json:
    """All of them where no page is asked for: mem0's Python client never asks for one."""
    rows = await EntityRepository(tx, caller.project_id).everyone()
    paged = page is not None or page_size is not None
    number, size = page or 1, (page_size or 100) if paged else max(1, len(rows))
    shown = [as_entity(row, caller) for row in rows[(number - 1) * size : number * size]]
    return Json(envelope(request, number, size, len(rows), shown, **totals(rows)))


@router.get("/v1/entities/filters/", responses={200: {"model": EntityNames}}, response_class=Json)
async def list_entity_names(caller: MemoryReader, tx: Transaction) -> Json:
    """The values that filters on users, agents, apps and runs can take."""
    rows = await EntityRepository(tx, caller.project_id).everyone()
    return Json({f"{kind}_id": [row.entity_id for row in rows if row.type == kind] for kind in COLUMNS})


@router.delete("/v1/entities/{entity_type}/{entity_id}/")
async def delete_entity_by_number(
    entity_type: str, entity_id: int, caller: MemoryWriter, resources: ResourcesDep, tx: Transaction
) -> Started:
    """The older form, by the number in the list of entities."""
    kind = read_type(entity_type)
    name = await EntityRepository(tx, caller.project_id).by_number(kind, entity_id)
    return Started(message=DELETING, event_id=await forget_entity(resources, caller, kind, name))


@router.get("/v2/entities/{entity_type}/{name:path}/", responses={200: {"model": EntityShown}}, response_class=Json)
async def get_entity(entity_type: str, name: str, caller: MemoryReader, tx: Transaction) -> Json:
    row = await EntityRepository(tx, caller.project_id).one(read_type(entity_type), read_name(name))
    return Json(as_entity(row, caller))


@router.delete("/v2/entities/{entity_type}/{name:path}/")
async def delete_entity(entity_type: str, name: str, caller: MemoryWriter, resources: ResourcesDep) -> Started:
    """With every memory of theirs, in all profiles."""
    event_id = await forget_entity(resources, caller, read_type(entity_type), read_name(name))
    return Started(message=DELETING, event_id=event_id)


@router.post("/v1/users/", status_code=201, responses={201: {"model": EntityShown}}, response_class=Json)
async def create_user(body: UserCreate, caller: MemoryWriter, tx: Transaction) -> Json:
    return await described(tx, caller, "user", body.user_id, body)


@router.post("/v1/agents/", status_code=201, responses={201: {"model": EntityShown}}, response_class=Json)
async def create_agent(body: AgentCreate, caller: MemoryWriter, tx: Transaction) -> Json:
    return await described(tx, caller, "agent", body.agent_id, body)


@router.post("/v1/apps/", status_code=201, responses={201: {"model": EntityShown}}, response_class=Json)
async def create_app(body: AppCreate, caller: MemoryWriter, tx: Transaction) -> Json:
    return await described(tx, caller, "app", body.app_id, body)


@router.post("/v1/runs/", status_code=201, responses={201: {"model": EntityShown}}, response_class=Json)
async def create_run(body: RunCreate, caller: MemoryWriter, tx: Transaction) -> Json:
    return await described(tx, caller, "run", body.run_id, body)


async def described(tx: Transaction, caller: Caller, kind: Type, name: str, body: Described) -> Json:
    row = await describe_entity(tx, caller, kind, name, body.name, body.metadata or {})
    return Json({**as_entity(row, caller), f"{kind}_id": name}, 201)

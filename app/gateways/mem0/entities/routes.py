"""/v1/entities/ and /v2/entities/: users, agents, apps and runs of a project. POST /v1/users/ etc. describe them."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.core.resources import ResourcesDep
from app.gateways.mem0.entities.entities import (
    check_entity_id,
    count_by_type,
    delete_entity_data,
    describe_entity,
    parse_entity_type,
    render_entity,
)
from app.gateways.mem0.entities.schemas import (
    AgentCreate,
    AppCreate,
    EntityDescription,
    EntityNames,
    EntityPage,
    EntityRead,
    RunCreate,
    UserCreate,
)
from app.gateways.mem0.errors import ERROR_RESPONSES, Mem0Route
from app.gateways.mem0.memories.schemas import EventAccepted
from app.gateways.mem0.responses import FastJson, page_of_results
from app.identity.administration import ErasesUser
from app.identity.caller import Caller, MemoryReader, MemoryWriter
from app.identity.transaction import Transaction
from app.memory.entities import ENTITY_COLUMNS, EntityRepository, EntityType

router = APIRouter(tags=["Entities"], responses=ERROR_RESPONSES, route_class=Mem0Route)
MAX_PAGE = 100_000
DELETING = "Delete in progress. This may take some time."


@router.get("/v1/entities/", responses={200: {"model": EntityPage}}, response_class=FastJson)
async def list_entities(
    request: Request,
    caller: MemoryReader,
    tx: Transaction,
    page: Annotated[int | None, Query(ge=1, le=MAX_PAGE)] = None,
    page_size: Annotated[int | None, Query(ge=1, le=200)] = None,
) -> FastJson:
    """Lists the users, agents, apps and runs of the project.

    Without `page` and `page_size` the response contains all of them, as mem0's Python client expects.
    """
    rows = await EntityRepository(tx, caller.project_id).find_entities()
    paged = page is not None or page_size is not None
    number, size = page or 1, (page_size or 100) if paged else max(1, len(rows))
    entities = [render_entity(row, caller) for row in rows[(number - 1) * size : number * size]]
    return FastJson(page_of_results(request, number, size, len(rows), entities, **count_by_type(rows)))


@router.get("/v1/entities/filters/", responses={200: {"model": EntityNames}}, response_class=FastJson)
async def list_entity_names(caller: MemoryReader, tx: Transaction) -> FastJson:
    """Lists the ids of users, agents, apps and runs that filters can name."""
    rows = await EntityRepository(tx, caller.project_id).find_entities()
    return FastJson({f"{kind}_id": [row.entity_id for row in rows if row.type == kind] for kind in ENTITY_COLUMNS})


@router.delete("/v1/entities/{entity_type}/{entity_id}/", dependencies=[ErasesUser])
async def delete_entity_by_number(
    entity_type: str, entity_id: int, caller: MemoryWriter, resources: ResourcesDep, tx: Transaction
) -> EventAccepted:
    """Deletes an entity and its memories, by its numeric `id` in the list of entities (older form)."""
    kind = parse_entity_type(entity_type)
    name = await EntityRepository(tx, caller.project_id).get_name(kind, entity_id)
    return EventAccepted(message=DELETING, event_id=await delete_entity_data(resources, caller, kind, name))


@router.get("/v2/entities/{entity_type}/{name:path}/", responses={200: {"model": EntityRead}}, response_class=FastJson)
async def get_entity(entity_type: str, name: str, caller: MemoryReader, tx: Transaction) -> FastJson:
    """Returns one user, agent, app or run by its name."""
    row = await EntityRepository(tx, caller.project_id).get_entity(
        parse_entity_type(entity_type), check_entity_id(name)
    )
    return FastJson(render_entity(row, caller))


@router.delete("/v2/entities/{entity_type}/{name:path}/", dependencies=[ErasesUser])
async def delete_entity(entity_type: str, name: str, caller: MemoryWriter, resources: ResourcesDep) -> EventAccepted:
    """Erases an entity with everything that is stored about it, in all profiles: see `POST /v1/erase`."""
    event_id = await delete_entity_data(resources, caller, parse_entity_type(entity_type), check_entity_id(name))
    return EventAccepted(message=DELETING, event_id=event_id)


@router.post("/v1/users/", status_code=201, responses={201: {"model": EntityRead}}, response_class=FastJson)
async def create_user(body: UserCreate, caller: MemoryWriter, tx: Transaction) -> FastJson:
    """Describes a user: a display name and metadata. A second call replaces the first description."""
    return await create_description(tx, caller, "user", body.user_id, body)


@router.post("/v1/agents/", status_code=201, responses={201: {"model": EntityRead}}, response_class=FastJson)
async def create_agent(body: AgentCreate, caller: MemoryWriter, tx: Transaction) -> FastJson:
    """Describes an agent: a display name and metadata. A second call replaces the first description."""
    return await create_description(tx, caller, "agent", body.agent_id, body)


@router.post("/v1/apps/", status_code=201, responses={201: {"model": EntityRead}}, response_class=FastJson)
async def create_app(body: AppCreate, caller: MemoryWriter, tx: Transaction) -> FastJson:
    """Describes an app: a display name and metadata. A second call replaces the first description."""
    return await create_description(tx, caller, "app", body.app_id, body)


@router.post("/v1/runs/", status_code=201, responses={201: {"model": EntityRead}}, response_class=FastJson)
async def create_run(body: RunCreate, caller: MemoryWriter, tx: Transaction) -> FastJson:
    """Describes a run: a display name and metadata. A second call replaces the first description."""
    return await create_description(tx, caller, "run", body.run_id, body)


async def create_description(
    tx: Transaction, caller: Caller, kind: EntityType, name: str, body: EntityDescription
) -> FastJson:
    row = await describe_entity(tx, caller, kind, name, body.name, body.metadata or {})
    return FastJson({**render_entity(row, caller), f"{kind}_id": name}, 201)

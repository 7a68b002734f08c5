"""/graphql: memories, messages, profiles and sessions, and the writes that go with them, as one schema."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request

from app.core.resources import ResourcesDep
from app.gateways.graphql.call import GraphqlCall
from app.gateways.graphql.schemas import GraphqlRequest, GraphqlResponse
from app.gateways.mem0.responses import FastJson, JsonObject
from app.identity.caller import CallerDep

Execute = Callable[[GraphqlCall, GraphqlRequest], Awaitable[JsonObject]]
router = APIRouter(tags=["GraphQL"])


class LazySchema:
    """Importing the package and making the schema takes a third of a second of the processor, which only those who use
    it pay. It happens in a thread, so that other requests are answered meanwhile."""

    def __init__(self) -> None:
        self._execute: Execute | None = None

    async def execute(self, call: GraphqlCall, request: GraphqlRequest) -> JsonObject:
        if self._execute is None:
            module = await asyncio.to_thread(importlib.import_module, "app.gateways.graphql.server")
            self._execute = module.execute
        return await self._execute(call, request)


SERVER = LazySchema()


@router.post("/graphql", responses={200: {"model": GraphqlResponse}}, response_class=FastJson)
async def execute_graphql(
    body: GraphqlRequest, request: Request, caller: CallerDep, resources: ResourcesDep
) -> FastJson:
    """Carries out one GraphQL query or mutation.

    A query that is refused as a whole has the status of its error. What fails in one field is in `errors`, beside the
    `data` of the others."""
    return FastJson(await SERVER.execute(GraphqlCall(request, resources, caller), body))

"""Carries out queries: reads them, measures them, and lets the package resolve their fields.

Importing the package takes a fifth of a second, so the first request imports this module, in a thread.
"""

import asyncio
from functools import lru_cache

import strawberry
import structlog
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    ValueNode,
    parse,
    validate,
)
from graphql import execute as execute_document
from graphql.validation import specified_rules
from sqlalchemy.exc import SQLAlchemyError
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import create_type

from app.core.errors import AppError, TooCostly
from app.core.http.error_responses import INTERNAL_ERROR, report_database_error
from app.gateways.graphql.call import GraphqlCall
from app.gateways.graphql.errors import InvalidQuery, QueryTooCostly, describe_error
from app.gateways.graphql.limits import MAX_TOKENS, check_shape, cost_of, find_readings
from app.gateways.graphql.memory_fields import MEMORY_MUTATIONS, MEMORY_QUERIES
from app.gateways.graphql.message_fields import MESSAGE_MUTATIONS, MESSAGE_QUERIES
from app.gateways.graphql.profile_fields import PROFILE_MUTATIONS, PROFILE_QUERIES
from app.gateways.graphql.rows import RowExecutor
from app.gateways.graphql.schemas import GraphqlRequest
from app.gateways.graphql.session_fields import SESSION_MUTATIONS, SESSION_QUERIES
from app.gateways.graphql.types import SCALARS
from app.gateways.mem0.responses import JsonObject
from app.identity.caller import admit_further

log = structlog.get_logger()
MAX_ERRORS = 5
QUERIES_KEPT = 256
TOO_LONG = "Parsing aborted"
"""Of the package's sentence about a query with too many tokens."""


SCHEMA = strawberry.Schema(
    query=create_type("Query", [*MEMORY_QUERIES, *MESSAGE_QUERIES, *PROFILE_QUERIES, *SESSION_QUERIES]),
    mutation=create_type("Mutation", [*MEMORY_MUTATIONS, *MESSAGE_MUTATIONS, *PROFILE_MUTATIONS, *SESSION_MUTATIONS]),
    config=StrawberryConfig(
        auto_camel_case=False, default_resolver=lambda row, name: row.get(name), scalar_map=SCALARS
    ),
)
CORE = SCHEMA._schema
READINGS = find_readings(CORE)


async def execute(call: GraphqlCall, request: GraphqlRequest) -> JsonObject:
    """Raises what is wrong with the whole query. What fails in one field is in the answer."""
    document = read_query(request.query, introspection=call.resources.config.graphql_introspection)
    cost = cost_of(CORE, READINGS, document, request)
    await admit_further(call.request, call.caller, cost.calls - 1)
    result = await carry_out(call, document, request)
    errors = result.errors or []
    if result.data is None and errors and errors[0].path is None:
        raise invalid_query(errors)
    answer: JsonObject = {"data": result.data}
    if errors:
        answer["errors"] = [await render_error(each) for each in errors]
    return answer


async def carry_out(call: GraphqlCall, document: DocumentNode, request: GraphqlRequest) -> ExecutionResult:
    """By graphql-core: the method of the package would parse and validate, too, and log errors with their values."""
    result = execute_document(
        CORE,
        document,
        context_value=call,
        variable_values=request.variables,
        operation_name=request.operation_name,
        executor_class=RowExecutor,
    )
    return result if isinstance(result, ExecutionResult) else await result


class SchemaIsHidden(NoSchemaIntrospectionCustomRule):
    def report_error(self, error: GraphQLError) -> None:
        super().report_error(
            GraphQLError(
                "This server does not show its schema. Read docs/schema.graphql, or set GRAPHQL_INTROSPECTION=true.",
                error.nodes,
            )
        )


def read_query(query: str, *, introspection: bool) -> DocumentNode:
    """Texts are content, so only queries without any are kept. Clients send texts as variables."""
    return _read_query(query, introspection) if '"' in query else _read_known_query(query, introspection)


def _read_query(query: str, introspection: bool) -> DocumentNode:
    try:
        document = parse(query, max_tokens=MAX_TOKENS)
        check_shape(document)
        rules = specified_rules if introspection else (*specified_rules, SchemaIsHidden)
        errors = validate(CORE, document, rules, max_errors=MAX_ERRORS)
    except RecursionError:
        raise QueryTooCostly("The query is nested too deep. Nest it less.") from None
    except GraphQLSyntaxError as error:
        if TOO_LONG in error.message:
            raise QueryTooCostly(f"The query has more than {MAX_TOKENS} words and signs. Send several.") from None
        raise invalid_query([error]) from None
    if errors:
        raise invalid_query(errors)
    return document


_read_known_query = lru_cache(maxsize=QUERIES_KEPT)(_read_query)


def invalid_query(errors: list[GraphQLError]) -> InvalidQuery:
    return InvalidQuery(" ".join(dict.fromkeys(each.message for each in errors[:MAX_ERRORS])))


async def render_error(error: GraphQLError) -> JsonObject:
    known = find_cause(error)
    if isinstance(known, TooCostly):
        await asyncio.sleep(known.delay_seconds)
    return {**describe_error(known), "path": error.path}


def find_cause(error: GraphQLError) -> AppError:
    cause = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    if isinstance(cause, AppError):
        return cause
    if isinstance(cause, SQLAlchemyError):
        return report_database_error(cause)
    if isinstance(cause, GraphQLError) and cause.nodes and isinstance(cause.nodes[0], ValueNode):
        return InvalidQuery(cause.message)  # a variable without a value, where the argument needs one
    log.error("request.failed", exc_info=cause or error)
    return AppError(INTERNAL_ERROR)

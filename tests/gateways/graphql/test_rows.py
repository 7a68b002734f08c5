"""Rows are read at once with the same outcome as value by value, errors included."""

import datetime as dt
import json
from collections.abc import Awaitable
from typing import Any
from uuid import UUID

import pytest
import strawberry
from graphql import ExecutionResult, Executor, GraphQLObjectType, execute, parse, validate
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from app.gateways.graphql.errors import QueryTooCostly
from app.gateways.graphql.limits import cost_of
from app.gateways.graphql.rows import RowExecutor, field_reader
from app.gateways.graphql.schemas import GraphqlRequest
from app.gateways.graphql.server import CORE, QUERIES_KEPT, READINGS, read_query
from app.gateways.graphql.types import SCALARS, list_of, object_type

Part = object_type("Part", {"name": str})
Row = object_type(
    "Row",
    {
        **{"id": UUID, "text": str, "note": str | None, "count": int, "share": float | None, "at": dt.datetime},
        **{"tags": list_of(str) | None, "more": strawberry.scalars.JSON | None, "parts": list_of(Part) | None},
        "part": Part | None,
    },
)
ROW = {
    **{"id": UUID(int=7), "text": "tea", "note": None, "count": 3, "share": 1, "at": dt.datetime(2026, 1, 1)},
    **{"tags": ["a", "b"], "more": {"a": [None, "b"]}, "parts": [{"name": "x"}, {"name": "y"}]},
    "part": {"name": "z"},
}


@strawberry.type
class Query:
    @strawberry.field(graphql_type=list_of(Row | None) | None)  # type: ignore[untyped-decorator]
    def rows(self, info: strawberry.Info) -> Any:
        return info.context

    @strawberry.field
    def word(self) -> str:
        return "read by a function"


SCHEMA = strawberry.Schema(
    Query,
    config=StrawberryConfig(
        auto_camel_case=False, default_resolver=lambda row, name: row.get(name), scalar_map=SCALARS
    ),
)._schema
VALUES = "id text note count share at tags more"


def carry_out(executor: type[Executor[Any]], query: str, row: object) -> ExecutionResult | Awaitable[ExecutionResult]:
    document = parse(query)
    assert validate(SCHEMA, document) == []
    return execute(SCHEMA, document, context_value=[row, ROW], executor_class=executor)


@pytest.mark.parametrize(
    "query",
    [
        f"{{ rows {{ {VALUES} }} }}",
        "{ rows { __typename title: text note @skip(if: true) id @include(if: true) } }",
        "{ rows { ...f ... on Row { count text } } } fragment f on Row { text again: text tags }",
        "{ rows { text parts { name __typename } part { it: name } id } }",
        "{ rows { parts { name @skip(if: true) } part { ...p } } } fragment p on Part { name again: name }",
    ],
    ids=["all values", "aliases and directives", "fragments", "rows in rows", "fragments in rows in rows"],
)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", "tea"),
        ("text", None),
        ("text", {"no": "text"}),
        ("count", "many"),
        ("count", 2**40),
        ("tags", "no list"),
        ("tags", ["a", None]),
        ("tags", None),
        ("share", float("nan")),
        ("parts", [{"name": None}]),
        ("parts", ["no row"]),
        ("part", {"name": None}),
        ("part", "no row"),
        ("part", None),
    ],
)
def test_rows_are_read_as_the_package_reads_them(query: str, name: str, value: object) -> None:
    row = {**ROW, name: value}
    at_once, one_by_one = (
        carry_out(executor, query, row) for executor in (RowExecutor, StrawberryGraphQLCoreExecutionContext)
    )
    assert isinstance(at_once, ExecutionResult)
    assert isinstance(one_by_one, ExecutionResult)
    assert at_once.formatted == one_by_one.formatted
    assert json.dumps(at_once.data, default=str) == json.dumps(one_by_one.data, default=str), "in another order"


def test_a_field_with_a_resolver_is_no_value() -> None:
    memory, query = CORE.get_type("Memory"), SCHEMA.get_type("Query")
    assert isinstance(memory, GraphQLObjectType)
    assert isinstance(query, GraphQLObjectType)
    assert field_reader(memory, "memory") is not None
    assert field_reader(memory, "history") is None
    assert field_reader(query, "word") is None


def test_kept_queries_are_bounded_and_hold_no_values_of_a_caller() -> None:
    """What is kept is the query as it is written: its cost is that of the variables of each request."""
    query = "query Q($size: Int!) { memories(page_size: $size) { results { id memory user_id metadata } } }"
    kept = read_query(query, introspection=False)
    assert cost_of(CORE, READINGS, kept, GraphqlRequest(query=query, variables={"size": 10})).values < 100
    with pytest.raises(QueryTooCostly):
        cost_of(
            CORE,
            READINGS,
            read_query(query, introspection=False),
            GraphqlRequest(query=query, variables={"size": 1000}),
        )
    for place in range(QUERIES_KEPT):
        read_query(f"{{ memories(page_size: {place + 1}) {{ count }} }}", introspection=False)
    assert read_query(query, introspection=False) is not kept

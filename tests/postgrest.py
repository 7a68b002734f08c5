"""The SQL that PostgREST sends for a request of a browser. PostgREST itself is no Python package."""

import json
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

OPERATORS = {"eq": "=", "neq": "<>"}


def read_rows(
    connection: psycopg.Connection[Any], claims: Mapping[str, object] | None, table: str, query: Mapping[str, str]
) -> list[Any]:
    """Understands `select`, `order`, `limit` and the filters that examples/supabase_js sends."""
    role = str(claims["role"]) if claims else "anon"
    with connection.transaction(force_rollback=True):
        connection.execute(
            "select set_config('search_path', 'public, extensions', true), set_config('role', %s, true),"
            " set_config('request.jwt.claims', %s, true)",
            [role, json.dumps(claims or {"role": "anon"})],
        )
        (body,) = connection.execute(_statement(table, query)).fetchone() or ([],)
    rows: list[Any] = body
    return rows


def _statement(table: str, query: Mapping[str, str]) -> sql.Composed:
    name = sql.Identifier("public", table)
    columns = sql.SQL(", ").join(sql.Identifier(column) for column in query["select"].split(","))
    filters = [_filter(column, value) for column, value in query.items() if column not in ("select", "order", "limit")]
    where = sql.SQL(" where ") + sql.SQL(" and ").join(filters) if filters else sql.SQL("")
    column, _, direction = query.get("order", "id.asc").partition(".")
    return sql.SQL(
        "with pgrst_source as (select {columns} from {name}{where} order by {column} {direction} limit {limit})"
        " select coalesce(json_agg(_postgrest_t), '[]') from (select * from pgrst_source) _postgrest_t"
    ).format(
        columns=columns,
        name=name,
        where=where,
        column=sql.Identifier(column),
        direction=sql.SQL("desc" if direction == "desc" else "asc"),
        limit=sql.Literal(int(query.get("limit", "1000"))),
    )


def _filter(column: str, value: str) -> sql.Composed:
    operator, _, operand = value.partition(".")
    if operator == "is":
        return sql.SQL("{} is null").format(sql.Identifier(column))
    return sql.SQL("{} {} {}").format(sql.Identifier(column), sql.SQL(OPERATORS[operator]), sql.Literal(operand))

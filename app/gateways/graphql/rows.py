"""Reads the values of rows without a resolver for each.

For every value graphql-core describes the field, calls its resolver and checks the outcome, which takes longer than
everything else about a list of memories. Rows are dictionaries here, so a selection of values, and of rows with values,
is read at once.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    get_named_type,
    is_leaf_type,
)
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

ReadValue = Callable[[Any], Any]
Columns = list[tuple[str, str, ReadValue]]
"""For each value its name in the response, its name in the row, and how it is written."""
TYPE_NAME = "__typename"


class RowExecutor(StrawberryGraphQLCoreExecutionContext):
    """The package resolves everything else: fields with a resolver, and rows with a value that is not of its type, so
    that it describes the error."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._columns: dict[int, tuple[Any, Columns | None]] = {}
        """By the selection, which is kept so that no other one gets its id."""

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Any,
        grouped_field_set: Any,
        position_context: Any,
    ) -> Any:
        if isinstance(source_value, dict) and (columns := self._columns_of(parent_type, grouped_field_set)):
            try:
                return read_row(columns, source_value)
            except GraphQLError:
                return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)
        return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)

    def _columns_of(self, parent_type: GraphQLObjectType, selected: Any) -> Columns | None:
        """The rows of a list share the selection."""
        key = id(selected)
        if key not in self._columns:
            self._columns[key] = selected, self._find_columns(parent_type, selected)
        return self._columns[key][1]

    def _find_columns(self, parent_type: GraphQLObjectType, selected: Any) -> Columns | None:
        """None if a field has a resolver."""
        columns = []
        for shown, details in selected.items():
            name = details[0].node.name.value
            read = field_reader(parent_type, name) or self._object_reader(parent_type, name, details)
            if read is None:
                return None
            columns.append((shown, name, read))
        return columns

    def _object_reader(self, parent_type: GraphQLObjectType, name: str, details: Any) -> ReadValue | None:
        field = parent_type.fields[name]
        kind = get_named_type(field.type)
        if not is_plain_field(field) or not isinstance(kind, GraphQLObjectType):
            return None
        columns = self._columns_of(kind, self.collect_subfields(kind, details).grouped_field_set)
        return value_reader(field.type, partial(read_row, columns)) if columns else None


def read_row(columns: Columns, row: Any) -> dict[str, Any] | None:
    if row is None:
        return None
    if not isinstance(row, dict):
        raise GraphQLError("This is no row.")
    return {shown: read(row.get(name)) for shown, name, read in columns}


def is_plain_field(field: GraphQLField) -> bool:
    plain: bool = field.extensions["strawberry-definition"].is_basic_field
    return plain


@cache
def field_reader(parent_type: GraphQLObjectType, name: str) -> ReadValue | None:
    if name == TYPE_NAME:
        return lambda _: parent_type.name
    field = parent_type.fields[name]
    return value_reader(field.type) if is_plain_field(field) else None


def value_reader(kind: GraphQLOutputType, read_object: ReadValue | None = None) -> ReadValue | None:
    if is_leaf_type(kind):
        return partial(read_leaf, kind.coerce_output_value)
    if not isinstance(kind, GraphQLList | GraphQLNonNull):
        return read_object
    inner = value_reader(kind.of_type, read_object)
    read_outer = read_list if isinstance(kind, GraphQLList) else read_required
    return partial(read_outer, inner) if inner else None


def read_leaf(write: ReadValue, value: Any) -> Any:
    return None if value is None else read_required(write, value)


def read_list(read: ReadValue, value: Any) -> list[Any] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise GraphQLError("This is no list.")
    return [read(each) for each in value]


def read_required(read: ReadValue, value: Any) -> Any:
    written = read(value)
    if written is None:
        raise GraphQLError("This cannot be null.")
    return written

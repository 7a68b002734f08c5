"""What a query may ask for: how deep and long it is, and how many values its answer can have.

Everything is measured before the query is validated or carried out, and each fragment once, so that measuring cannot be
made expensive. The extensions of the package walk into a fragment each time that it is named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    IntValueNode,
    SelectionNode,
    VariableNode,
    get_named_type,
    get_operation_ast,
)

from app.gateways.graphql.errors import InvalidQuery, QueryTooCostly
from app.gateways.graphql.schemas import GraphqlRequest

MAX_TOKENS = 2000
MAX_DEPTH = 16
MAX_FIELDS = 500
MAX_REPEATED = 5
"""How often names may come again in one selection: validation compares each with each."""
MAX_ALIASES = 30
MAX_CALLS = 30
MAX_VALUES = 5000
SIZE_ARGUMENTS = ("limit", "page_size", "top_k")
UNPAGED = 10
"""How many rows a list without pages is taken for, such as the history of a memory."""
SCHEMA_VALUES = 2000
"""What a look at the schema is taken for: it takes as long as an answer with so many values."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a query as it is written, with each fragment where it is named."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0

    def beside(self, other: "Shape") -> "Shape":
        return Shape(max(self.depth, other.depth), self.fields + other.fields, self.aliases + other.aliases)


@dataclass(slots=True)
class ShapeReader:
    fragments: Mapping[str, FragmentDefinitionNode]
    known: dict[str, Shape | None] = field(default_factory=dict)

    def measure(self, selections: Sequence[SelectionNode], depth: int = 0) -> Shape:
        names = [(each.alias or each.name).value for each in selections if isinstance(each, FieldNode)]
        if len(names) - len(set(names)) > MAX_REPEATED:
            raise QueryTooCostly("The query repeats fields in one selection. Name each of them once.")
        total = Shape()
        for each in selections:
            total = total.beside(self._measure_one(each, depth))
        return total

    def _measure_one(self, node: SelectionNode, depth: int) -> Shape:
        if depth > MAX_DEPTH:
            raise QueryTooCostly(f"The query is nested more than {MAX_DEPTH} levels deep. Nest it less.")
        if isinstance(node, FragmentSpreadNode):
            return self._measure_fragment(node.name.value)
        if not isinstance(node, FieldNode):
            return self.measure(_selections(node), depth + 1)
        inner = self.measure(_selections(node), depth + 1)
        return Shape(inner.depth + 1, inner.fields + 1, inner.aliases + (node.alias is not None))

    def _measure_fragment(self, name: str) -> Shape:
        """A fragment within itself counts as nothing: validation refuses it."""
        if name not in self.known:
            self.known[name] = None
            fragment = self.fragments.get(name)
            self.known[name] = self.measure(_selections(fragment)) if fragment else Shape()
        return self.known[name] or Shape()


def _selections(node: Any) -> Sequence[SelectionNode]:
    return node.selection_set.selections if node.selection_set else ()


def fragments_of(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}


def check_shape(document: DocumentNode) -> None:
    reader = ShapeReader(fragments_of(document))
    whole = reader.measure([each for one in document.definitions for each in _selections(one)])
    if whole.depth > MAX_DEPTH:
        raise QueryTooCostly(f"The query is nested {whole.depth} levels deep. Nest it at most {MAX_DEPTH} deep.")
    if whole.fields > MAX_FIELDS:
        raise QueryTooCostly(f"The query has more than {MAX_FIELDS} fields, fragments included. Send several requests.")
    if whole.aliases > MAX_ALIASES:
        raise QueryTooCostly(f"The query has more than {MAX_ALIASES} aliases. Send several requests.")


@dataclass(frozen=True, slots=True)
class ReadingField:
    """A field that reads or changes something. Others are values of what such a field returned."""

    argument: str | None
    """It says how many rows there are at most."""
    rows: int


ReadingFields = Mapping[tuple[str, str], ReadingField]
"""By type and name."""


@dataclass(frozen=True, slots=True)
class Cost:
    calls: int = 0
    values: int = 0

    def plus(self, other: "Cost") -> "Cost":
        return Cost(self.calls + other.calls, self.values + other.values)

    def times(self, rows: int) -> "Cost":
        return Cost(self.calls * rows, self.values * rows)


@dataclass(frozen=True, slots=True)
class CostReader:
    """How much a query reads at most. It is as large as `check_shape` allows, and valid."""

    schema: GraphQLSchema
    readings: ReadingFields
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Mapping[str, Any]

    def measure(self, kind: GraphQLObjectType, node: Any) -> Cost:
        total = Cost()
        for each in _selections(node):
            total = total.plus(self._measure_one(kind, each))
        return total

    def _measure_one(self, kind: GraphQLObjectType, node: SelectionNode) -> Cost:
        if isinstance(node, FragmentSpreadNode):
            return self.measure(kind, self.fragments[node.name.value])
        if not isinstance(node, FieldNode):
            return self.measure(kind, node)
        if node.name.value.startswith("__"):
            return Cost(1, 1 if node.name.value == "__typename" else SCHEMA_VALUES)
        return self._measure_field(kind, node)

    def _measure_field(self, kind: GraphQLObjectType, node: FieldNode) -> Cost:
        returned = get_named_type(kind.fields[node.name.value].type)
        inner = self.measure(returned, node) if isinstance(returned, GraphQLObjectType) else Cost()
        reading = self.readings.get((kind.name, node.name.value))
        if reading is None:
            return Cost(0, 1).plus(inner)
        return Cost(1, 1).plus(inner.times(self._rows(reading, node)))

    def _rows(self, reading: ReadingField, node: FieldNode) -> int:
        sizes = [each.value for each in node.arguments or () if each.name.value == reading.argument]
        value = sizes[0] if sizes else None
        given: Any = None
        if isinstance(value, IntValueNode):
            given = int(value.value)
        elif isinstance(value, VariableNode):
            given = self.variables.get(value.name.value)
        # JSON does not tell 200 from 200.0, and an Int may be written as both.
        is_whole = isinstance(given, int) or (isinstance(given, float) and given.is_integer())
        return max(int(given), 1) if is_whole else reading.rows


def cost_of(schema: GraphQLSchema, readings: ReadingFields, document: DocumentNode, request: GraphqlRequest) -> Cost:
    operation = get_operation_ast(document, request.operation_name)
    if operation is None:
        raise InvalidQuery("The query has several operations. Send `operationName` to name the one to carry out.")
    defaults = {
        each.variable.name.value: int(each.default_value.value)
        for each in operation.variable_definitions or ()
        if isinstance(each.default_value, IntValueNode)
    }
    variables = {**defaults, **(request.variables or {})}
    root = schema.get_root_type(operation.operation)
    assert root is not None
    cost = CostReader(schema, readings, fragments_of(document), variables).measure(root, operation)
    if cost.calls > MAX_CALLS:
        raise QueryTooCostly(f"The query reads or writes {cost.calls} times. Keep to {MAX_CALLS}, or send several.")
    if cost.values > MAX_VALUES:
        raise QueryTooCostly(
            f"The answer could have {cost.values} values, and may have {MAX_VALUES}. Ask for fewer fields or rows."
        )
    return cost


def find_readings(schema: GraphQLSchema) -> ReadingFields:
    found = {}
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__"):
            for name, each in kind.fields.items():
                if each.extensions["strawberry-definition"].base_resolver is not None:
                    found[kind.name, name] = _describe(each)
    return found


def _describe(field: GraphQLField) -> ReadingField:
    argument = next((name for name in SIZE_ARGUMENTS if name in field.args), None)
    if argument is not None:
        return ReadingField(argument, field.args[argument].default_value)
    kind = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
    return ReadingField(None, UNPAGED if isinstance(kind, GraphQLList) else 1)

"""mem0's filter grammar: reading it, translating it to SQL, and finding out which entities it names."""

from app.memory.filters.cost import check_cost, filter_cost
from app.memory.filters.entity_scope import EntityScope, entity_scope, has_positive_entity
from app.memory.filters.parse import parse_filters, parse_moment, parse_object_text
from app.memory.filters.sealed_content import compare_content, find_content
from app.memory.filters.transaction import filter_transaction
from app.memory.filters.tree import (
    And,
    Filter,
    InDefaultProfile,
    Not,
    OneOf,
    Or,
    Present,
    to_sql,
)

__all__ = [
    "And",
    "EntityScope",
    "Filter",
    "InDefaultProfile",
    "Not",
    "OneOf",
    "Or",
    "Present",
    "check_cost",
    "compare_content",
    "entity_scope",
    "filter_cost",
    "filter_transaction",
    "find_content",
    "has_positive_entity",
    "parse_filters",
    "parse_moment",
    "parse_object_text",
    "to_sql",
]

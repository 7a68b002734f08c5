"""Which entities a filter is about."""

from collections.abc import Mapping

from app.memory.filters.tree import And, Filter, OneOf, Or, Present
from app.memory.origin import ENTITY_FIELDS

EntityScope = Mapping[str, frozenset[str] | None]
"""For each entity field the only ids that a matching memory can have; None if it can have any or none."""


def entity_scope(found: Filter) -> EntityScope:
    return {field: _possible_ids(found, field) for field in ENTITY_FIELDS}


def _possible_ids(found: Filter, field: str) -> frozenset[str] | None:
    """Conditions that must all hold narrow the ids down; alternatives restrict them only if every one does."""
    match found:
        case OneOf(of, values) if of == field:
            return frozenset(map(str, values))
        case And(parts):
            restrictions = [ids for part in parts if (ids := _possible_ids(part, field)) is not None]
            return frozenset.intersection(*restrictions) if restrictions else None
        case Or(parts):
            branches = [_possible_ids(part, field) for part in parts]
            restrictions = [ids for ids in branches if ids is not None]
            return frozenset().union(*restrictions) if len(restrictions) == len(branches) else None
    return None


def has_positive_entity(found: Filter) -> bool:
    """Whether every match has a user, agent, app or run that the filter names (or `*`), and not just excludes."""
    match found:
        case OneOf(field) | Present(field):
            return field in ENTITY_FIELDS
        case And(parts):
            return any(map(has_positive_entity, parts))
        case Or(parts):
            return all(map(has_positive_entity, parts))
    return False

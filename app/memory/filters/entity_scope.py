from collections.abc import Mapping

from app.memory.filters.tree import (
    And,
    Filter,
    OneOf,
    Or,
    Present,
)
from app.memory.origin import ENTITY_FIELDS

EntityScope = Mapping[str, frozenset[str] | None]
"""For each entity field the only ids that a matching memory can have; None if it can have any or none."""


def entity_scope(found: Filter) -> EntityScope:
    return {field: _pinned(found, field) for field in ENTITY_FIELDS}


def _pinned(found: Filter, field: str) -> frozenset[str] | None:
    match found:
        case OneOf(of, values) if of == field:
            return frozenset(map(str, values))
        case And(parts):
            sets = [pinned for part in parts if (pinned := _pinned(part, field)) is not None]
            return frozenset.intersection(*sets) if sets else None
        case Or(parts):
            branches = [_pinned(part, field) for part in parts]
            known = [pinned for pinned in branches if pinned is not None]
            return frozenset().union(*known) if len(known) == len(branches) else None
    return None


def has_positive_entity(found: Filter) -> bool:
    """Whether every memory that can match is named by a user, agent, app or run, `*` included, and not by exclusion."""
    match found:
        case OneOf(field) | Present(field):
            return field in ENTITY_FIELDS
        case And(parts):
            return any(map(has_positive_entity, parts))
        case Or(parts):
            return all(map(has_positive_entity, parts))
    return False

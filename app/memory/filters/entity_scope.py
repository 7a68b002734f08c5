from dataclasses import dataclass

from app.memory.filters.tree import (
    ENTITIES,
    And,
    Filter,
    OneOf,
    Or,
    Present,
)


@dataclass(frozen=True, slots=True)
class EntityScope:
    """The only ids a matching memory can have; None where any, or none at all, will do."""

    user_ids: frozenset[str] | None
    agent_ids: frozenset[str] | None
    app_ids: frozenset[str] | None
    run_ids: frozenset[str] | None


def entity_scope(found: Filter) -> EntityScope:
    return EntityScope(*(_pinned(found, field) for field in ENTITIES))


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
            return field in ENTITIES
        case And(parts):
            return any(map(has_positive_entity, parts))
        case Or(parts):
            return all(map(has_positive_entity, parts))
    return False

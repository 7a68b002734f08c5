"""What a filter costs Postgres for each memory that it is checked against.

A condition on a column or a label counts as one. A text condition counts more, in proportion to its measured time.
"""

from app.core.errors import TooCostly
from app.memory.filters.tree import (
    And,
    CategoryContains,
    ContentContains,
    Filter,
    InCategory,
    InDefaultProfile,
    MetadataContains,
    Not,
    OneOf,
    Or,
)

MAX_COST = 500
COSTLY = 10
"""From this cost on, the filters of one project are checked one at a time."""
ANY_CASE_COST, CONTAINS_COST = 10, 2
VALUES_PER_POINT = 100


def check_cost(found: Filter) -> Filter:
    cost = filter_cost(found)
    if cost > MAX_COST:
        raise TooCostly(
            f"These filters are too complex: they count {cost} points, and at most {MAX_COST} are allowed. A condition"
            f" counts 1 point, `contains` {CONTAINS_COST}, `icontains` and each keyword {ANY_CASE_COST}, and a list 1"
            f" more for every {VALUES_PER_POINT} values. Use fewer conditions.",
            code="filter_too_complex",
        )
    return found


def filter_cost(found: Filter) -> int:
    match found:
        case And(parts) | Or(parts):
            return sum(map(filter_cost, parts))
        case Not(part):
            return filter_cost(part)
        case ContentContains(any_case=True):
            return ANY_CASE_COST
        case ContentContains() | CategoryContains() | MetadataContains():
            return CONTAINS_COST
        case OneOf(_, values) | InCategory(values):
            return 1 + len(values) // VALUES_PER_POINT
        case InDefaultProfile():
            return 0
    return 1

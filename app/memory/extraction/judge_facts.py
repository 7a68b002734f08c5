"""What new facts mean for older memories, by the language model where there is one: before the facts are written."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from app.core.ports import KnownMemory, Role
from app.core.resources import Resources
from app.memory.judgement import ModelVerdicts, Statement, ask_for_verdicts, build_pairs, load_statements
from app.memory.ledger import NewMemory
from app.memory.namespace import Namespace

MAX_COMPARED = 6
"""How many of the nearest memories each new fact is compared with."""
MIN_SIMILARITY = 0.4
"""What is less similar is about something else, whatever a model says."""


def count_compared(resources: Resources) -> int:
    """The nearest one tells whether a fact is known already."""
    return MAX_COMPARED if resources.llm.name != "offline" else 1


async def judge_facts(
    resources: Resources, namespace: Namespace, new: Sequence[NewMemory], near: Mapping[UUID, Sequence[KnownMemory]]
) -> ModelVerdicts:
    told = {each.id: Statement.of_new(namespace, each) for each in new if each.role is Role.USER}
    similar = {id_: [each.id for each in near.get(id_, ()) if each.score >= MIN_SIMILARITY] for id_ in told}
    ids = {each for others in similar.values() for each in others}
    if resources.llm.name == "offline" or not ids:
        return ModelVerdicts()
    statements = {**await load_statements(resources.database, namespace.project_id, ids), **told}
    pairs = [pair for pair in build_pairs(similar, statements) if pair.new.id in told]
    return await ask_for_verdicts(resources, namespace.project_id, pairs)

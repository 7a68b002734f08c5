"""Replacing, restoring, archiving, deleting, exporting and importing in any order: a model says what must be there."""

import asyncio
import itertools
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.resources import Resources
from app.memory.archive import archive_memory, restore_memory, restore_replaced
from app.memory.edit import Owner
from app.memory.forget import forget
from app.memory.ledger import Memory, MemoryRepository, visible
from app.memory.namespace import Namespace
from app.memory.supersession import Replacement, find_replaced, supersede
from tests.memory.namespaces import add_memories, create_namespace
from tests.portability.files import data_lines, delete_project, export_file, import_file, other_project

T = TypeVar("T")
PLACES = st.integers(0, 4)
"""A memory by its place among those that exist; a larger number counts from the start again."""
USER = f"chain {uuid.uuid4()}"


@dataclass
class ModelMemory:
    replaced_by: UUID | None = None
    coexists_with: list[UUID] = field(default_factory=list)
    archived: bool = False

    @property
    def current(self) -> bool:
        return self.replaced_by is None and not self.archived


class Model(dict[UUID, ModelMemory]):
    def replaced(self, memory_id: UUID) -> list[UUID]:
        return [each for each, memory in self.items() if memory.replaced_by == memory_id]

    def ancestors(self, memory_id: UUID) -> set[UUID]:
        found: set[UUID] = set()
        for each in self.replaced(memory_id):
            found |= {each} | self.ancestors(each)
        return found

    def outcome(self, old: UUID, new: UUID, *, even_if_undone: bool) -> str:
        if self[old].replaced_by is not None:
            return "unchanged" if self[old].replaced_by == new else "already_superseded"
        if new in self[old].coexists_with and not even_if_undone:
            return "undone"
        return "cycle" if old == new or new in self.ancestors(old) else "superseded"

    def restore(self, memory_id: UUID) -> None:
        memory = self[memory_id]
        if memory.replaced_by is not None:
            others = [each for each in memory.coexists_with if each != memory.replaced_by]
            memory.coexists_with = [*others, memory.replaced_by]
        memory.replaced_by, memory.archived = None, False

    def delete(self, ids: set[UUID]) -> None:
        gone = {each: self.pop(each) for each in ids}
        for memory in self.values():
            heir = memory.replaced_by
            while heir in gone:
                heir = gone[heir].replaced_by
            if heir in self:
                memory.replaced_by = heir


class ChainMachine(RuleBasedStateMachine):
    """The rules run in a thread; what they do runs in the loop of the test."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, resources: Resources, admin_engine: AsyncEngine, folder: Path
    ) -> None:
        super().__init__()
        self.loop, self.resources, self.admin_engine, self.folder = loop, resources, admin_engine, folder
        self.model, self.numbers = Model(), itertools.count()
        self.namespace = self.run(self._new_namespace())
        for _ in range(3):
            self.add()
        for place in range(2):
            self.replace(place, place + 1, even_if_undone=False)

    def run(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=60)

    async def _new_namespace(self) -> Namespace:
        return await create_namespace(self.resources, await other_project(self.resources.database), USER)

    def pick(self, place: int) -> UUID:
        return list(self.model)[place % len(self.model)]

    @property
    def owner(self) -> Owner:
        return Owner(self.namespace.project_id)

    @rule()
    @precondition(lambda self: len(self.model) < 5)
    def add(self) -> None:
        (memory_id,) = self.run(add_memories(self.resources, self.namespace, f"I visited place {next(self.numbers)}"))
        self.model[memory_id] = ModelMemory()

    @rule(old=PLACES, new=PLACES, even_if_undone=st.booleans())
    @precondition(lambda self: self.model)
    def replace(self, old: int, new: int, *, even_if_undone: bool) -> None:
        one, other = self.pick(old), self.pick(new)
        expected = self.model.outcome(one, other, even_if_undone=even_if_undone)
        assert self.run(self._supersede(one, other, even_if_undone=even_if_undone)) == [expected]
        if expected == "superseded":
            memory = self.model[one]
            memory.replaced_by = other
            memory.coexists_with = [each for each in memory.coexists_with if each != other]

    async def _supersede(self, old: UUID, new: UUID, *, even_if_undone: bool) -> list[str]:
        project_id = self.namespace.project_id
        async with self.resources.database.transaction(project_id, USER) as tx:
            return [*await supersede(tx, project_id, [Replacement(old, new)], even_if_undone=even_if_undone)]

    @rule(place=PLACES)
    @precondition(lambda self: self.model)
    def restore(self, place: int) -> None:
        self.run(restore_memory(self.resources, self.owner, self.pick(place)))
        self.model.restore(self.pick(place))

    @rule(place=PLACES)
    @precondition(lambda self: self.model)
    def archive(self, place: int) -> None:
        self.run(archive_memory(self.resources, self.owner, self.pick(place)))
        self.model[self.pick(place)].archived = True

    @rule(first=PLACES, second=PLACES)
    @precondition(lambda self: self.model)
    def delete(self, first: int, second: int) -> None:
        ids = {self.pick(first), self.pick(second)}
        self.run(forget(self.resources, self.namespace, list(ids)))
        self.model.delete(ids)

    @rule(place=PLACES)
    @precondition(lambda self: self.model)
    def delete_linked(self, place: int) -> None:
        memory_id = self.pick(place)
        replaced = set(self.run(self._find_replaced(memory_id)))
        assert replaced == self.model.ancestors(memory_id)
        self.run(forget(self.resources, self.namespace, [memory_id, *replaced]))
        self.model.delete({memory_id, *replaced})

    async def _find_replaced(self, memory_id: UUID) -> list[UUID]:
        project_id = self.namespace.project_id
        async with self.resources.database.transaction(project_id, USER) as tx:
            return await find_replaced(tx, project_id, memory_id)

    @rule(place=PLACES)
    @precondition(lambda self: self.model)
    def restore_linked(self, place: int) -> None:
        memory_id = self.pick(place)
        back = [each for each in self.model.replaced(memory_id) if not self.model[each].archived]
        assert set(self.run(restore_replaced(self.resources, self.owner, memory_id))) == set(back)
        for each in back:
            self.model.restore(each)

    @rule()
    def export_and_import(self) -> None:
        self.run(self._move())

    async def _move(self) -> None:
        database, before, after = self.resources.database, self.folder / "before.jsonl", self.folder / "after.jsonl"
        await export_file(database, self.namespace.project_id, before)
        await delete_project(self.admin_engine, self.namespace.project_id)
        project_id = await other_project(database)
        assert (await import_file(database, project_id, before)).problems == []
        await export_file(database, project_id, after)
        assert data_lines(after) == data_lines(before)
        self.namespace = await create_namespace(self.resources, project_id, USER)

    @invariant()
    def the_ledger_is_as_the_model_says(self) -> None:
        rows, current = self.run(self._load())
        links = {each: (memory.replaced_by, memory.coexists_with) for each, memory in self.model.items()}
        assert {row.id: (row.replaced_by, row.coexists_with or []) for row in rows} == links
        assert all((row.valid_until is None) == (row.replaced_by is None) for row in rows)
        assert {row.id for row in rows if row.archived_at} == {k for k, each in self.model.items() if each.archived}
        assert current == {each for each, memory in self.model.items() if memory.current}

    async def _load(self) -> tuple[list[Memory], set[UUID]]:
        async with self.resources.database.transaction(self.namespace.project_id) as tx:
            repository = MemoryRepository(tx, self.namespace.project_id)
            rows = (await repository.page(50)).results
            return list(rows), {row.id for row in (await repository.page(50, None, *visible())).results}


async def run_machine(
    resources: Resources, admin_engine: AsyncEngine, folder: Path, *, examples: int, steps: int
) -> None:
    loop = asyncio.get_running_loop()

    class Machine(ChainMachine):
        def __init__(self) -> None:
            super().__init__(loop, resources, admin_engine, folder)

    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=examples < 10,
        suppress_health_check=list(HealthCheck),
    )
    await asyncio.to_thread(run_state_machine_as_test, Machine, settings=chosen)


async def test_chain_is_right_after_each_step(resources: Resources, admin_engine: AsyncEngine, tmp_path: Path) -> None:
    await run_machine(resources, admin_engine, tmp_path, examples=3, steps=10)


@pytest.mark.long
async def test_chain_is_right_after_each_step_of_many(
    resources: Resources, admin_engine: AsyncEngine, tmp_path: Path
) -> None:
    await run_machine(resources, admin_engine, tmp_path, examples=60, steps=30)

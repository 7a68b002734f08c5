"""One run of the policy, in batches. Each batch is a transaction that changes memories and counts them, so that a run
which is interrupted, or is executed by two processes, counts each memory once."""

from collections.abc import AsyncGenerator, Sequence
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, Select, select

from app.core.ports import IndexRemoval
from app.core.resources import Resources
from app.memory.forget import remove_from_index
from app.memory.ledger import LedgerRepository, Memory
from app.retention.matching import is_held, to_archive, to_delete
from app.retention.models import RetentionRun
from app.retention.policy import RetentionPolicy, RetentionRule
from app.retention.preview import preview_policy
from app.retention.runs import RetentionRunRepository
from app.webhooks.announce import announce_details
from app.webhooks.models import EventType

log = structlog.get_logger()
BATCH_SIZE = 500
STATEMENT_TIMEOUT = "60s"


async def execute_run(resources: Resources, project_id: UUID, run_id: UUID) -> None:
    """Does nothing if the run has ended."""
    async with resources.database.transaction(project_id) as tx:
        row = await RetentionRunRepository(tx, project_id).begin(run_id)
    if row is None:
        return
    run = PolicyRun(resources, row)
    async for _ in run.batches():
        pass
    await run.finish()


class PolicyRun:
    def __init__(self, resources: Resources, row: RetentionRun, *, batch_size: int = BATCH_SIZE) -> None:
        self._resources = resources
        self._project_id = row.project_id
        self._run_id = row.id
        self._rules = RetentionPolicy.model_validate(row.policy).rules
        self._batch_size = batch_size

    async def batches(self) -> AsyncGenerator[int, None]:
        """The size of each batch, after its commit."""
        for rule in self._rules:
            while count := await self._archive_batch(rule):
                yield count
        for rule in self._rules:
            while rule.delete_after_days is not None and (count := await self._delete_batch(rule)):
                yield count

    async def finish(self) -> None:
        """Record how many memories a legal hold kept, and tell the webhooks."""
        async with self._resources.database.transaction(self._project_id, statement_timeout=STATEMENT_TIMEOUT) as tx:
            held = {each.name: each.held for each in await preview_policy(tx, self._project_id, self._rules)}
            runs = RetentionRunRepository(tx, self._project_id)
            counts = (await runs.get(self._run_id)).counts
            counts = {name: {**count, "held": held[name]} for name, count in counts.items()}
            ended = await runs.end(self._run_id, state="finished", counts=counts)
            if ended is not None:
                details = {"id": str(self._run_id), "cause": ended.cause, "rules": counts}
                await announce_details(tx, self._project_id, EventType.RETENTION_RUN, details)
        log.info("retention.finished", run_id=str(self._run_id))

    async def _archive_batch(self, rule: RetentionRule) -> int:
        async with self._resources.database.transaction(self._project_id, statement_timeout=STATEMENT_TIMEOUT) as tx:
            query = self._select(to_archive(rule, self._project_id))
            # A row that another transaction has locked is left for later.
            rows = await tx.execute(query.with_for_update(of=Memory, skip_locked=True))
            namespaces = {row.id: row.namespace for row in rows}
            archived = await LedgerRepository(tx, self._project_id).archive_all(list(namespaces), rule=rule.name)
            runs = RetentionRunRepository(tx, self._project_id)
            await runs.count_batch(self._run_id, rule.name, "archived", len(archived))
        removals = [IndexRemoval(each, self._project_id, namespaces[each]) for each in archived]
        await self._resources.index_queue.put(removals)
        return len(archived)

    async def _delete_batch(self, rule: RetentionRule) -> int:
        async with self._resources.database.transaction(self._project_id, statement_timeout=STATEMENT_TIMEOUT) as tx:
            query = self._select(to_delete(rule, self._project_id))
            namespaces = {row.id: row.namespace for row in await tx.execute(query)}
            # A memory may be restored, or its user held, while this waits for its row.
            still = (*to_delete(rule, self._project_id), ~is_held())
            deleted = await LedgerRepository(tx, self._project_id).delete_all(list(namespaces), *still)
            runs = RetentionRunRepository(tx, self._project_id)
            await runs.count_batch(self._run_id, rule.name, "deleted", len(deleted.ids))
        await remove_from_index(self._resources, self._project_id, namespaces, deleted)
        return len(deleted.ids)

    def _select(self, where: Sequence[ColumnElement[bool]]) -> Select[UUID, str]:
        """The id and the namespace of the next memories."""
        return select(Memory.id, Memory.namespace).where(*where, ~is_held()).limit(self._batch_size)

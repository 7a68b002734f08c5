"""Refresh the words of memories in the index after a version that reads the words of other languages differently.

Memories whose text has such words are marked as pending, so that the sweep indexes them again; English texts stay as
they are. Until then they are found by their meaning and by the words they had before.
"""

from collections.abc import Callable
from itertools import groupby
from uuid import UUID

import structlog
from sqlalchemy import text

from app.core.ports import IndexUpsert
from app.core.resources import Resources
from app.core.text.languages import WORDS_VERSION, guess_languages
from app.memory.indexing.indexed_text import keyword_text
from app.memory.indexing.indexer import load_upserts
from app.memory.indexing.repair import MARK_PENDING_SQL, by_project

log = structlog.get_logger()
NAME = "words"
BATCH_SIZE = 500
SELECT_VERSION_SQL = text("select done from maintenance where name = :name and state = 'finished'")
UPSERT_VERSION_SQL = text("""
insert into maintenance (name, done, total, state) values (:name, :version, :version, 'finished')
on conflict (name) do update set done = excluded.done, total = excluded.total, state = 'finished', updated_at = now()
""")
SELECT_INDEXED_PAGE_SQL = text("""
select id, project_id from memories where id > :after and state = 'indexed' and archived_at is null
order by id limit :batch
""")


async def refresh_words(resources: Resources, *, after_each_step: Callable[[], None]) -> int:
    """Returns the number of memories that will be indexed again. Interrupted, it begins again at the next start."""
    async with resources.database.system() as tx:
        if (await tx.scalar(SELECT_VERSION_SQL, {"name": NAME}) or 0) >= WORDS_VERSION:
            return 0
    count = await _mark_other_languages(resources, after_each_step)
    async with resources.database.system() as tx:
        await tx.execute(UPSERT_VERSION_SQL, {"name": NAME, "version": WORDS_VERSION})
    if count:
        log.info("index.words_refreshed", count=count)
    return count


async def _mark_other_languages(resources: Resources, after_each_step: Callable[[], None]) -> int:
    count, after = 0, UUID(int=0)
    while True:
        async with resources.database.system() as tx:
            rows = (await tx.execute(SELECT_INDEXED_PAGE_SQL, {"after": after, "batch": BATCH_SIZE})).all()
        if not rows:
            return count
        after = rows[-1].id
        ids: list[UUID] = []
        for project_id, group in groupby(sorted(rows, key=by_project), by_project):
            memories = await load_upserts(resources.database, project_id, [row.id for row in group])
            ids += [each.id for each in memories if _has_other_words(each)]
        async with resources.database.system() as tx:
            await tx.execute(MARK_PENDING_SQL, {"ids": ids})
        count += len(ids)
        after_each_step()


def _has_other_words(memory: IndexUpsert) -> bool:
    return bool(guess_languages(keyword_text(memory.content, memory.context, memory.created_at)))

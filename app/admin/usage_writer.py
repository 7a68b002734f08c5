"""Write the counts of requests, searches, memories and jobs to `usage_by_day`. A crash loses the last seconds."""

import asyncio

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.core.background_tasks import SupervisedTask
from app.core.database.database import Database
from app.core.observability.usage_counts import UsageCounts

log = structlog.get_logger()
WRITE_EVERY_SECONDS = 10
SILENT_AFTER_SECONDS = 6 * WRITE_EVERY_SECONDS
# A project or key that was deleted meanwhile is left out.
# Several processes add to the same row, so the histograms are added, too.
ADD_USAGE_SQL = text("""
insert into usage_by_day (project_id, day, key_id, requests, throttled, memories, searches, jobs, jobs_failed, latency)
select used.project_id, (now() at time zone 'UTC')::date, used.key_id, used.requests, used.throttled, used.memories,
  used.searches, used.jobs, used.jobs_failed, cast(used.latency as bigint[])
from unnest(cast(:projects as uuid[]), cast(:keys as uuid[]), cast(:requests as bigint[]), cast(:throttled as bigint[]),
  cast(:memories as bigint[]), cast(:searches as bigint[]), cast(:jobs as bigint[]), cast(:jobs_failed as bigint[]),
  cast(:latency as text[]))
  as used (project_id, key_id, requests, throttled, memories, searches, jobs, jobs_failed, latency)
join projects p on p.id = used.project_id
where used.key_id is null or exists (select from api_keys k where k.id = used.key_id and k.project_id = used.project_id)
order by used.project_id, used.key_id
on conflict (project_id, day, key_id) do update set requests = usage_by_day.requests + excluded.requests,
  throttled = usage_by_day.throttled + excluded.throttled, memories = usage_by_day.memories + excluded.memories,
  searches = usage_by_day.searches + excluded.searches,
  jobs = usage_by_day.jobs + excluded.jobs, jobs_failed = usage_by_day.jobs_failed + excluded.jobs_failed,
  latency = array(
    select coalesce(old.count, 0) + coalesce(new.count, 0)
    from unnest(usage_by_day.latency) with ordinality as old (count, bucket)
    full join unnest(excluded.latency) with ordinality as new (count, bucket) using (bucket)
    order by bucket)
""")


class UsageWriter:
    def __init__(self, database: Database, counts: UsageCounts) -> None:
        self._database = database
        self._counts = counts
        self.task = SupervisedTask("usage", self._write_often, silent_after_seconds=SILENT_AFTER_SECONDS)

    def start(self) -> None:
        self.task.start()

    async def _write_often(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_SECONDS)
            await self.write()
            self.task.beat()

    async def write(self) -> None:
        """What cannot be written is kept and written with the next batch."""
        if not self._counts:
            return
        taken = self._counts.take()
        try:
            async with self._database.system() as tx:
                await tx.execute(ADD_USAGE_SQL, _columns(taken))
        except SQLAlchemyError:
            self._counts.add(taken)
            raise

    async def close(self) -> None:
        await self.task.stop()
        try:
            await self.write()
        except SQLAlchemyError as error:
            log.warning("usage.not_written", exc_info=error)


def _columns(counts: UsageCounts) -> dict[str, list[object]]:
    histograms = counts.histograms()
    counters = {
        "requests": counts.requests,
        "throttled": counts.throttled,
        "memories": counts.memories,
        "searches": counts.searches,
        "jobs": counts.jobs,
        "jobs_failed": counts.jobs_failed,
    }
    used = list({each: None for counter in counters.values() for each in counter} | dict.fromkeys(histograms))
    return {
        "projects": [each.project_id for each in used],
        "keys": [each.key_id for each in used],
        # As text, because Postgres has no array of arrays of different lengths.
        "latency": [f"{{{','.join(map(str, histograms.get(each, [])))}}}" for each in used],
        **{name: [counter[each] for each in used] for name, counter in counters.items()},
    }

"""/v1/admin/retention: the policy of a project, and its runs."""

from uuid import UUID

from fastapi import Response

from app.core.database.pagination import Cursor, Limit, Page
from app.core.http.strict_requests import own_router
from app.identity.administration import Administrative
from app.identity.scopes import Scope
from app.identity.transaction import Transaction
from app.retention.jobs import queue_run
from app.retention.permissions import RetentionReader, RetentionWriter
from app.retention.policy import RetentionPolicy, StoredPolicy, load_policy, store_policy
from app.retention.preview import load_samples, preview_policy
from app.retention.runs import RetentionRunRepository
from app.retention.schemas import PreviewRead, RunRead, RunRequest, render_preview, render_run

router = own_router(prefix="/v1/admin/retention", tags=["Retention"])


@router.get("")
async def get_retention(caller: RetentionReader, tx: Transaction) -> StoredPolicy:
    """Returns the retention policy of the project. Without rules, nothing is archived or deleted."""
    return await load_policy(tx, caller.project_id)


@router.put("", dependencies=[Administrative])
async def put_retention(body: RetentionPolicy, caller: RetentionWriter, tx: Transaction) -> StoredPolicy:
    """Replaces the retention policy of the project. It is applied every night, and by a run that you start."""
    return await store_policy(tx, caller.project_id, body)


@router.post(
    "/run",
    status_code=202,
    responses={200: {"model": PreviewRead, "description": "For a dry run."}},
    dependencies=[Administrative],
)
async def run_retention(
    caller: RetentionWriter, tx: Transaction, response: Response, body: RunRequest | None = None
) -> RunRead | PreviewRead:
    """Starts a run of the policy, or returns the one that has not finished yet.

    With `dry_run`, changes nothing and returns what a run would do now, with samples if you may read memories. With
    `policy` as well, tries these rules before you store them.
    """
    stored = await load_policy(tx, caller.project_id)
    if body is None or not body.dry_run:
        return render_run(await queue_run(tx, caller.project_id, stored, "request"))
    response.status_code = 200
    previews = await preview_policy(tx, caller.project_id, (body.policy or stored).rules)
    readable = Scope.MEMORIES_READ in caller.scopes
    return render_preview(previews, await load_samples(tx, caller.project_id, previews) if readable else None)


@router.get("/runs")
async def list_retention_runs(
    caller: RetentionReader, tx: Transaction, limit: Limit = 50, cursor: Cursor = None
) -> Page[RunRead]:
    """Lists the runs of the last 90 days, newest first."""
    page = await RetentionRunRepository(tx, caller.project_id).page(limit, cursor)
    return Page(results=[render_run(run) for run in page.results], next=page.next)


@router.get("/runs/{run_id}")
async def get_retention_run(run_id: UUID, caller: RetentionReader, tx: Transaction) -> RunRead:
    """Returns one run: its state and what each rule has archived and deleted so far."""
    return render_run(await RetentionRunRepository(tx, caller.project_id).get(run_id))

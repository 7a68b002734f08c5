"""What each command does. `app/__main__.py` declares the commands and imports this module when one of them runs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import httpx
import typer
from rich.progress import Progress

from app.api_keys.issue import issue_key
from app.backup import back_up as back_up
from app.backup import restore as restore
from app.core.counts import count_of
from app.core.database.actor import OPERATOR, current_actor
from app.core.errors import ConfigurationError
from app.core.ports.content import ACTIVE_AFTER_SECONDS
from app.encryption.keys import encrypt_projects, list_projects, rotate_keys
from app.encryption.tables import SEALED_TABLES
from app.erasure.stores import VACUUMED_TABLES
from app.identity.check_move import check_accounts, check_former_issuer, check_imported_key
from app.identity.local.admin.remove_factors import remove_second_factors
from app.identity.local.security.keys import read_key_ids
from app.identity.local.storage.sessions import RefreshSecret
from app.identity.local.storage.sign_in_history import unlock_account as unlock
from app.memory.judgement import Consolidation
from app.memory.retry_event import retry_failed_events
from app.memory.summaries.jobs import request_folding
from app.portability.exports.read_rows import DataScope
from app.portability.exports.write_file import choose_project, export_to_file
from app.portability.imports.run import import_file as import_data
from app.projects.deleted_accounts import list_deleted_accounts
from app.reindex import reindex_everything as reindex_everything
from app.settings import Settings
from app.wiring import open_store
from app.wiring.accounts import instance_secret, pepper_of
from app.wiring.postgres import migrate_database
from app.wiring.secrets import has_model, speaks_openai

REMAINS_IN_FILES = "Run `compact` to overwrite what was stored before; older backups still contain it."


async def migrate(settings: Settings) -> None:
    applied = await migrate_database(settings)
    typer.echo(f"Applied {', '.join(applied)}" if applied else "The database is up to date")


async def export_file(settings: Settings, file: Path, project: UUID | None, user_id: str | None) -> None:
    async with open_store(settings) as database:
        scope = DataScope(await choose_project(database, project), user_id)
        with progress_bar("Exporting") as report:
            counts = await export_to_file(database, scope, file, report)
    typer.echo(f"Exported {_describe_counts(counts)} to {file}")


async def import_file(settings: Settings, file: Path, project: UUID | None, user_id: str | None) -> None:
    async with open_store(settings) as database:
        scope = DataScope(await choose_project(database, project))
        with progress_bar("Importing") as report:
            done = await import_data(database, scope, file, report, default_user=user_id)
    typer.echo(
        f"Imported {_describe_counts(done.added)} from {file}; {count_of(done.already_there.total(), 'row')} existed"
        " already"
    )
    for problem in done.problems:
        typer.secho(problem.detail, fg="red", err=True)
    if done.was_cut_off:
        typer.secho("The file has no last line: it was cut off when it was written or copied.", fg="red", err=True)
    if done.problem_count:
        left_out = f"{count_of(done.problem_count, 'line')} {'was' if done.problem_count == 1 else 'were'} left out"
        typer.secho(f"{left_out}. Correct the file and import it again.", err=True)
        raise typer.Exit(1)


def _describe_counts(counts: Mapping[str, int]) -> str:
    nouns = {
        "memory": ("memory", "memories"),
        "history": ("entry of history", "entries of history"),
        "entity": ("entity", "entities"),
        "feedback": ("feedback", "feedback"),
    }
    found = [count_of(count, *nouns.get(kind, (kind.replace("_", " "),))) for kind, count in counts.items() if count]
    return ", ".join(found) or "nothing"


async def rewrite_tables(settings: Settings) -> None:
    async with open_store(settings) as database:
        with progress_bar("Rewriting") as report:
            for done, table in enumerate(VACUUMED_TABLES, start=1):
                await database.vacuum([table], rewrite=True)
                report(done, len(VACUUMED_TABLES))
    typer.echo(f"Rewrote {len(VACUUMED_TABLES)} tables")


async def create_key(settings: Settings, name: str, project: UUID | None) -> None:
    current_actor.set(OPERATOR)
    async with open_store(settings) as database:
        typer.echo(await issue_key(database, pepper_of(settings), name=name, project_id=project))


async def encrypt_content(settings: Settings, project: UUID | None, *, every: bool) -> None:
    if every is (project is not None):
        raise ConfigurationError("Name the project to encrypt with --project, or write --all to encrypt every project.")
    async with open_store(settings) as database:
        projects = await list_projects(database, project)
        with progress_bar("Encrypting") as report:
            rows = RowCounter(report)
            await encrypt_projects(database, projects, rows, active_after=ACTIVE_AFTER_SECONDS)
        await database.vacuum([table.name for table in SEALED_TABLES])
    typer.echo(f"Encrypted {count_of(rows.count, 'row')}. {REMAINS_IN_FILES}")


async def rotate_content(settings: Settings, project: UUID | None) -> None:
    async with open_store(settings) as database:
        projects = await list_projects(database, project)
        with progress_bar("Encrypting again") as report:
            rows = RowCounter(report)
            count = await rotate_keys(database, projects, rows, active_after=ACTIVE_AFTER_SECONDS)
        await database.vacuum([table.name for table in SEALED_TABLES])
    replaced = f"Replaced the keys of {count_of(count, 'project')} and encrypted {count_of(rows.count, 'row')} again"
    typer.echo(f"{replaced}. {REMAINS_IN_FILES}")


class RowCounter:
    """Reports rows of which the total is not known."""

    def __init__(self, report: Callable[[int, int], None]) -> None:
        self.count = 0
        self._report = report

    def __call__(self, rows: int) -> None:
        self.count += rows
        self._report(self.count, self.count)


async def unlock_account(settings: Settings, email: str) -> None:
    if settings.supabase_url:
        raise ConfigurationError(
            "Supabase manages these accounts and limits sign-ins itself. There is nothing to unlock."
        )
    async with open_store(settings) as database, database.system() as tx:
        if not await unlock(tx, email.strip().lower()):
            raise ConfigurationError("No account has this address. Check it for typing errors.")
    typer.echo(f"{email} can sign in again")


async def remove_factors(settings: Settings, email: str) -> None:
    if settings.supabase_url:
        raise ConfigurationError(
            "Supabase manages these accounts. Remove the factors in its dashboard, on the page of the user under"
            " Authentication, or with admin.mfa.deleteFactor of supabase-js."
        )
    secret = RefreshSecret(instance_secret(settings))
    async with open_store(settings) as database, database.system() as tx:
        count = await remove_second_factors(tx, secret, email.strip().lower())
    if count is None:
        raise ConfigurationError("No account has this address. Check it for typing errors.")
    if count == 0:
        raise ConfigurationError("This account has no second factor. Nothing was changed.")
    typer.echo(f"{email} signs in with its password alone. Removed second factors: {count}. All its sessions ended")


async def list_deleted(settings: Settings) -> None:
    async with open_store(settings) as database:
        found = await list_deleted_accounts(database)
    for account in found.accounts:
        typer.echo(
            f"account {account.account_id} in {count_of(account.organizations, 'organization')}:"
            f" found {account.found_at:%Y-%m-%d}, erased from {account.erased_from:%Y-%m-%d}"
        )
    for organization in found.organizations:
        kind = "personal organization" if organization.personal else "organization"
        typer.echo(f"{kind} {organization.organization_id} has no owner: found {organization.found_at:%Y-%m-%d}")
    if not (found.accounts or found.organizations):
        typer.echo("No account was deleted, and every organization has an owner")


async def check_move(settings: Settings) -> None:
    if settings.supabase_url is None:
        raise ConfigurationError("Set SUPABASE_URL, and the other variables of the server after the move.")
    kids = read_key_ids(settings.data_dir / "identity")
    async with open_store(settings) as database, httpx.AsyncClient() as http:
        findings = [
            *await check_accounts(database),
            check_former_issuer(settings.former_issuer, kids),
            await check_imported_key(settings.supabase_url, kids, http),
        ]
    for finding in findings:
        typer.echo(f"{'ok' if finding.is_ok else 'missing'}: {finding.sentence}")
    if not all(finding.is_ok for finding in findings):
        raise typer.Exit(1)


async def retry_events(settings: Settings, event: UUID | None, *, every: bool, project: UUID | None) -> None:
    if every is (event is not None):
        raise ConfigurationError("Name the event to retry, or write --all to retry every failed event.")
    async with open_store(settings) as database:
        count = await retry_failed_events(database, event_id=event, project_id=project)
    if event and not count:
        raise ConfigurationError("No failed event has this id. `GET /v1/events/?status=FAILED` lists failed events.")
    typer.echo(f"Retrying {count_of(count, 'event')}" if count else "No event has failed")


async def consolidate_memories(
    settings: Settings, project: UUID | None, *, dry_run: bool, merge_duplicates: bool, list_pairs: bool
) -> None:
    current_actor.set(OPERATOR)
    async with open_store(settings) as database:
        consolidation = Consolidation(database, dry_run, merge_duplicates)
        with progress_bar("Consolidating") as report:
            counts = await consolidation.run(project, report)
    for project_id, count in counts.items():
        if count.replaced or count.merged:
            duplicates = f", {count_of(count.merged, 'duplicate')}" if merge_duplicates else ""
            statements = count_of(count.statements, "statement")
            typer.echo(f"project {project_id}: {count.replaced} of {statements}{duplicates}")
        for old, kept in count.pairs if list_pairs else ():
            typer.echo(f"memory {old} by {kept}")
    total = sum(each.replaced + each.merged for each in counts.values())
    typer.echo(f"{'Would replace' if dry_run else 'Replaced'} {count_of(total, 'memory', 'memories')}")


async def fold_memories(settings: Settings, project: UUID | None, *, dry_run: bool) -> None:
    if not (has_model(settings) and speaks_openai(settings)):
        typer.echo("Summaries need a language model, and none is set. See LLM_API_KEY and LLM_BASE_URL.")
        return
    async with open_store(settings) as database:
        counts = await request_folding(database, project, dry_run=dry_run)
    for project_id, count in counts.items():
        if count.groups:
            typer.echo(f"project {project_id}: {_describe_fold(count.episodes, count.groups)}")
    groups, episodes = (sum(each) for each in zip(*counts.values(), strict=True)) if counts else (0, 0)
    done = "Would fold" if dry_run else "Asked the server to fold"
    typer.echo(f"{done} {_describe_fold(episodes, groups)}")


def _describe_fold(episodes: int, groups: int) -> str:
    return f"{count_of(episodes, 'episode')} into {count_of(groups, 'summary', 'summaries')}"


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    with Progress() as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)

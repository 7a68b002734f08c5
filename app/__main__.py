"""The command line: `python -m app serve`, and everything else an operator does."""

import asyncio
import errno
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
import uvloop
from rich.progress import Progress

from app.api_keys.issue import issue_key
from app.backup import back_up
from app.backup import restore as restore_from
from app.core.errors import AppError, ConfigurationError
from app.core.observability.logging import configure_logging
from app.portability.export import export_memories, choose_project
from app.portability.restore import import_memories
from app.reindex import reindex_everything
from app.serve import serve as run_server
from app.serve import work_forever
from app.settings import LogFormat, Settings, load_settings
from app.wiring import open_store
from app.wiring.accounts import pepper_of
from app.wiring.postgres import migrate_database

cli = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
keys = typer.Typer(no_args_is_help=True, help="API keys, without a running server.")
cli.add_typer(keys, name="keys")

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder for everything that is kept")]


def prepare(**overrides: object) -> Settings:
    try:
        settings = load_settings(**overrides)
    except ConfigurationError as error:
        raise stop(error) from None
    configure_logging(settings.log_level, as_json=settings.log_format is LogFormat.JSON)
    return settings


def run(work: Coroutine[object, object, None]) -> None:
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(until_asked_to_stop(work))
    except asyncio.CancelledError:
        raise typer.Exit(130) from None
    except (ConfigurationError, AppError) as error:
        raise stop(error) from None
    except OSError as error:
        raise stop(explain(error)) from None


async def until_asked_to_stop(work: Coroutine[object, object, None]) -> None:
    """From the first moment on, not only once serving: the database must not outlive us."""
    working = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, working.cancel)
    await working


def explain(error: OSError) -> Exception:
    if error.errno == errno.ENOSPC:
        return ConfigurationError("The disk that holds DATA_DIR is full: free some space and start again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT):
        return ConfigurationError(
            f"{error.filename} cannot be used ({error.strerror}): set DATA_DIR to your own folder"
        )
    return error


def stop(error: Exception) -> typer.Exit:
    """One sentence instead of a traceback: what is wrong is in the settings, not in the code."""
    typer.secho(f"Keepsake cannot go on: {error}", fg="red", err=True)
    return typer.Exit(2)


@cli.callback()
def about() -> None:
    """Keepsake: memory for AI applications, on a machine of your own."""


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on")] = None,
    data_dir: DataDir = None,
) -> None:
    """Serve the API, with jobs running inside the process."""
    run(run_server(prepare(host=host, port=port, data_dir=data_dir)))


@cli.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database up to date and say what was new."""

    async def work() -> None:
        applied = await migrate_database(prepare(data_dir=data_dir))
        typer.echo(f"Applied {', '.join(applied)}" if applied else "The database is up to date")

    run(work())


@cli.command()
def worker(data_dir: DataDir = None) -> None:
    """Run background jobs in a process of its own, beside servers started with WORKER=false."""
    run(work_forever(prepare(data_dir=data_dir)))


@cli.command()
def reindex(data_dir: DataDir = None) -> None:
    """Make the index anew from the ledger, also while a server is serving from the old one."""
    run(reindex_everything(prepare(data_dir=data_dir)))


@cli.command()
def backup(file: Annotated[Path, typer.Argument(help="Where to write it")], data_dir: DataDir = None) -> None:
    """Write everything that is kept into one file, also while serving."""
    run(back_up(prepare(data_dir=data_dir), file))
    typer.echo(f"Backed up to {file}: keep it safe, it opens every account")


@cli.command()
def restore(file: Annotated[Path, typer.Argument(help="What `backup` has written")], data_dir: DataDir = None) -> None:
    """Fill an empty DATA_DIR from a backup. The next start makes the index anew."""
    run(restore_from(prepare(data_dir=data_dir), file))
    typer.echo(f"Restored from {file}")


Project = Annotated[UUID | None, typer.Option("--project", help="Which project, where there are several")]


@cli.command("export")
def export_file(
    file: Annotated[Path, typer.Argument(help="Where to write it")], project: Project = None, data_dir: DataDir = None
) -> None:
    """Write every memory of a project into a file, one JSON object a line, also while serving."""

    async def work() -> None:
        async with open_store(prepare(data_dir=data_dir)) as database:
            of = await choose_project(database, project)
            with shown("Exporting") as report:
                count = await export_memories(database, of, file, report)
        typer.echo(f"Exported {count} memories to {file}")

    run(work())


@cli.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="What `export` has written, or mem0's own memories as JSON")],
    project: Project = None,
    user_id: Annotated[str | None, typer.Option(help="Whose memories they are, where a line does not say")] = None,
    data_dir: DataDir = None,
) -> None:
    """Read memories from a file, ids, times and metadata included. Those that are there already stay as they are."""

    async def work() -> None:
        async with open_store(prepare(data_dir=data_dir)) as database:
            into = await choose_project(database, project)
            with shown("Importing") as report:
                done = await import_memories(database, into, file, report, user_id=user_id)
        typer.echo(f"Imported {done.added} memories from {file}; {done.already_there} were there already")

    run(work())


@contextmanager
def shown(what: str) -> Iterator[Callable[[int, int], None]]:
    """How far it is, as a bar."""
    with Progress() as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for")] = "command line",
    project: Annotated[UUID | None, typer.Option(help="Its project; a project of its own is made if left out")] = None,
    data_dir: DataDir = None,
) -> None:
    """Make an API key with every scope and print it, this once."""

    async def work() -> None:
        settings = prepare(data_dir=data_dir)
        async with open_store(settings) as database:
            typer.echo(await issue_key(database, pepper_of(settings), name=name, project_id=project))

    run(work())


if __name__ == "__main__":
    cli()

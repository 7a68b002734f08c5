"""The command line: `python -m app serve`, and everything else an operator does."""

import asyncio
import errno
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
import uvloop

from app.core.errors import AppError, ConfigurationError
from app.core.observability.logging import configure_logging
from app.lazy_import import lazy_import
from app.listener import bind_socket
from app.private_files import keep_files_private
from app.settings import LogFormat, Settings, describe_unknown_variables, load_settings
from app.version import VERSION

if TYPE_CHECKING:
    from app import commands
    from app import serve as server
    from app.gateways.mcp import stdio
else:
    stdio = lazy_import("app.gateways.mcp.stdio")
    commands = lazy_import("app.commands")
    server = lazy_import("app.serve")

cli = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
keys = typer.Typer(
    no_args_is_help=True, help="Manage API keys and the keys of content. The server does not have to run."
)
cli.add_typer(keys, name="keys")
accounts = typer.Typer(no_args_is_help=True, help="Manage accounts. The server may be running.")
cli.add_typer(accounts, name="accounts")
events = typer.Typer(no_args_is_help=True, help="Manage events. The server may be running.")
cli.add_typer(events, name="events")

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder for all data")]
Project = Annotated[UUID | None, typer.Option("--project", help="The project, if there are several")]


def prepare(**overrides: object) -> Settings:
    try:
        settings = load_settings(**overrides)
    except ConfigurationError as error:
        raise stop(error) from None
    for warning in describe_unknown_variables():
        typer.secho(f"Warning: {warning}", fg="yellow", err=True)
    configure_logging(settings.log_level, as_json=settings.log_format is LogFormat.JSON)
    keep_files_private(settings.data_dir)
    return settings


def run(work: Coroutine[object, object, None]) -> None:
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(cancel_on_signal(work))
    except asyncio.CancelledError:
        raise typer.Exit(130) from None
    except (ConfigurationError, AppError) as error:
        raise stop(error) from None
    except OSError as error:
        raise stop(explain(error)) from None


async def cancel_on_signal(work: Coroutine[object, object, None]) -> None:
    """A signal must also stop the database that is started before the server serves."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await task


def explain(error: OSError) -> Exception:
    if error.errno == errno.ENOSPC:
        return ConfigurationError("The disk that holds DATA_DIR is full: free some space and start again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT):
        return ConfigurationError(
            f"{error.filename} cannot be used ({error.strerror}): set DATA_DIR to your own folder"
        )
    return error


def stop(error: Exception) -> typer.Exit:
    """One sentence instead of a traceback: the cause is in the settings, not in the code."""
    typer.secho(f"Error: {error}", fg="red", err=True)
    return typer.Exit(2)


def print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"keepsake {VERSION}")
        raise typer.Exit


@cli.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """Keepsake: self-hosted memory for AI applications."""


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on")] = None,
    data_dir: DataDir = None,
) -> None:
    """Serve the API. Jobs run in the same process."""
    settings = prepare(host=host, port=port, data_dir=data_dir)
    try:
        listener = bind_socket(settings)
    except ConfigurationError as error:
        raise stop(error) from None
    with listener:
        run(server.serve(settings, listener))


@cli.command()
def mcp(
    url: Annotated[str, typer.Option(envvar="KEEPSAKE_URL", help="The running server")] = "http://127.0.0.1:8000",
    key: Annotated[str, typer.Option(envvar="KEEPSAKE_API_KEY", help="API key that calls act with")] = "",
    user_id: Annotated[str, typer.Option(envvar="KEEPSAKE_USER_ID", help="User of calls that name none")] = "",
    profile_id: Annotated[str, typer.Option(envvar="KEEPSAKE_PROFILE_ID", help="Profile of calls that name none")] = "",
    privacy_mode: Annotated[str, typer.Option(envvar="KEEPSAKE_PRIVACY_MODE", help="The most that calls may do")] = "",
) -> None:
    """Speak MCP over standard input and output, for clients that start a program. A server must be running."""
    if not key:
        raise stop(ConfigurationError("Set KEEPSAKE_API_KEY. `python -m app keys create mcp` makes a key"))
    headers = {"User-Id": user_id, "Profile-Id": profile_id, "Privacy-Mode": privacy_mode}
    named = {f"X-Keepsake-{name}": value for name, value in headers.items() if value}
    run(stdio.serve_stdio(url, key, named))


@cli.command()
def migrate(data_dir: DataDir = None) -> None:
    """Apply the migrations that are missing, and list them."""
    run(commands.migrate(prepare(data_dir=data_dir)))


@cli.command()
def worker(data_dir: DataDir = None) -> None:
    """Run background jobs in a process of their own, for servers started with WORKER=false."""
    run(server.work_forever(prepare(data_dir=data_dir)))


@cli.command()
def reindex(data_dir: DataDir = None) -> None:
    """Rebuild the vector index from the database. A running server keeps using the old one until then."""
    run(commands.reindex_everything(prepare(data_dir=data_dir)))


@cli.command()
def consolidate(
    project: Annotated[UUID | None, typer.Option(help="Only this project")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be replaced")] = False,
    duplicates: Annotated[bool, typer.Option("--duplicates", help="Also merge memories that say the same")] = False,
    summaries: Annotated[bool, typer.Option("--summaries", help="Also fold long-unused episodes")] = False,
    pairs: Annotated[bool, typer.Option("--pairs", help="List the ids of the memories, without their text")] = False,
    data_dir: DataDir = None,
) -> None:
    """Supersede memories that newer ones contradict, as new statements do. The server may be running."""
    settings = prepare(data_dir=data_dir)
    run(
        commands.consolidate_memories(settings, project, dry_run=dry_run, merge_duplicates=duplicates, list_pairs=pairs)
    )
    if summaries:
        run(commands.fold_memories(settings, project, dry_run=dry_run))


@cli.command()
def compact(data_dir: DataDir = None) -> None:
    """Rewrite the tables that keep content, so that no deleted row is left in their files. Requests wait meanwhile."""
    run(commands.rewrite_tables(prepare(data_dir=data_dir)))


@cli.command()
def backup(file: Annotated[Path, typer.Argument(help="File to write")], data_dir: DataDir = None) -> None:
    """Write all data into one file. The server may be running."""
    run(commands.back_up(prepare(data_dir=data_dir), file))
    typer.echo(f"Backed up to {file}. Keep the file secret: it gives access to every account")


@cli.command()
def restore(file: Annotated[Path, typer.Argument(help="File that `backup` wrote")], data_dir: DataDir = None) -> None:
    """Fill an empty DATA_DIR from a backup. The next start rebuilds the vector index."""
    run(commands.restore(prepare(data_dir=data_dir), file))
    typer.echo(f"Restored from {file}")


@cli.command("export")
def export_file(
    file: Annotated[Path, typer.Argument(help="File to write")],
    project: Project = None,
    user_id: Annotated[str | None, typer.Option(help="Only the data of this user")] = None,
    data_dir: DataDir = None,
) -> None:
    """Write the data of a project or of a user into a file, one JSON object a line. The server may be running."""
    run(commands.export_file(prepare(data_dir=data_dir), file, project, user_id))


@cli.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="File that `export`, mem0, ChatGPT or Claude wrote")],
    project: Project = None,
    user_id: Annotated[str | None, typer.Option(help="The user of lines that name none")] = None,
    data_dir: DataDir = None,
) -> None:
    """Add data from a file, with ids, times and metadata. What exists already is not changed."""
    run(commands.import_file(prepare(data_dir=data_dir), file, project, user_id))


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Name of the key")] = "command line",
    project: Annotated[UUID | None, typer.Option(help="Project of the key; by default a new project")] = None,
    data_dir: DataDir = None,
) -> None:
    """Create an API key with every scope and print it. It is shown only once."""
    run(commands.create_key(prepare(data_dir=data_dir), name, project))


@keys.command("encrypt-content")
def encrypt_content(
    project: Project = None,
    every: Annotated[bool, typer.Option("--all", help="Every project that is not encrypted yet")] = False,
    data_dir: DataDir = None,
) -> None:
    """Encrypt the content of a project with a key of its own. The server may be running, with CONTENT_KEYS."""
    run(commands.encrypt_content(prepare(data_dir=data_dir), project, every=every))


@keys.command("rotate-content")
def rotate_content(project: Project = None, data_dir: DataDir = None) -> None:
    """Replace the keys of encrypted projects, and encrypt their content again. The server may be running."""
    run(commands.rotate_content(prepare(data_dir=data_dir), project))


@accounts.command("unlock")
def unlock_account(
    email: Annotated[str, typer.Argument(help="Address of the account")], data_dir: DataDir = None
) -> None:
    """Let an account sign in again after too many wrong passwords. A running server applies it at once."""
    run(commands.unlock_account(prepare(data_dir=data_dir), email))


@accounts.command("remove-factors")
def remove_factors(
    email: Annotated[str, typer.Argument(help="Address of the account")], data_dir: DataDir = None
) -> None:
    """Remove the second factors of an account whose owner lost the device, and end its sessions."""
    run(commands.remove_factors(prepare(data_dir=data_dir), email))


@accounts.command("check-move")
def check_move(data_dir: DataDir = None) -> None:
    """After a move to Supabase: check that accounts have their passwords, and that old access tokens are accepted."""
    run(commands.check_move(prepare(data_dir=data_dir)))


@accounts.command("deleted")
def list_deleted_accounts(data_dir: DataDir = None) -> None:
    """List accounts that were deleted at the identity provider, and organizations that have no owner any more."""
    run(commands.list_deleted(prepare(data_dir=data_dir)))


@events.command("retry")
def retry_events(
    event: Annotated[UUID | None, typer.Argument(help="Id of the event")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every failed event, the oldest first")] = False,
    project: Annotated[UUID | None, typer.Option("--project", help="With --all: only of this project")] = None,
    data_dir: DataDir = None,
) -> None:
    """Try failed events again, for example after the language model was away for days."""
    run(commands.retry_events(prepare(data_dir=data_dir), event, every=every, project=project))


if __name__ == "__main__":
    cli()

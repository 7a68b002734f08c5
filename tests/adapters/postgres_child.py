"""A process that uses the embedded Postgres of a folder until its standard input ends."""

import asyncio
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.adapters.embedded_postgres import EmbeddedPostgres

ROOT = Path(__file__).parent.parent.parent


@contextmanager
def using(data_dir: Path, *, user: str | None = None) -> Iterator[subprocess.Popen[str]]:
    """The child process, once its server runs. At the end of the block it stops cleanly, unless it was killed."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.adapters.postgres_child", str(data_dir), *([user] if user else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "HOME": str(data_dir.parent)},
    )
    assert child.stdout
    try:
        assert child.stdout.readline() == "up\n"
        yield child
    finally:
        child.communicate()


def become(user: str) -> None:
    """Called after all imports, because only root may be able to read the interpreter."""
    account = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


async def use(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    await server.start()
    sys.stdout.write("up\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()


if __name__ == "__main__":
    for name in sys.argv[2:]:
        # In a thread, so that the modules for threads are imported too.
        asyncio.run(asyncio.to_thread(become, name))
    asyncio.run(use(Path(sys.argv[1])))

"""A process of its own that uses the embedded Postgres of a folder until its standard input ends."""

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
    """The child, once its server is up. Leaving the block lets it stop in order, unless it was killed before."""
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
    """After everything is imported: the interpreter may live where only root can read."""
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
        # In a thread, so that the machinery for threads is imported too.
        asyncio.run(asyncio.to_thread(become, name))
    asyncio.run(use(Path(sys.argv[1])))

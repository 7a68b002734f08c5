"""`consolidate` is killed in the middle and then run twice at the same time: each duplicate is merged once."""

import asyncio
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.memory.judgement.consolidate import PAIRS_PER_TRANSACTION
from tests.e2e.server import ROOT, environment
from tests.faults.installation import Installation, running_installation, wait_until_ready

DUPLICATES = 5_000
FINISH_SECONDS = 300
INSERT_MEMORIES_SQL = b"""
insert into memories (project_id, namespace, agent_id, kind, role, content, hash, state, categories, created_at)
select id, id::text || ':', 'a', 'fact', 'user', told.words || number || ' stamps',
  sha256((told.words || number)::bytea), 'indexed', '{}', now() - told.age
from projects cross join generate_series(100, 99 + %s) as number
cross join (values ('I have ', interval '2 days'), ('The user has ', interval '1 day')) as told (words, age)
"""
SUPERSEDED_SQL = b"select count(*) from memories where replaced_by is not null"
HISTORY_SQL = b"""
select count(*), count(distinct memory_id) from memory_history
where event = 'SUPERSEDE' and metadata ->> 'reason' = 'duplicate'
"""


@pytest.mark.long
async def test_killed_consolidation_goes_on_and_two_at_once_merge_each_duplicate_once(tmp_path: Path) -> None:
    async with running_installation(tmp_path / "data", split=False) as installation:
        await wait_until_ready(installation)
        await asyncio.to_thread(installation.create_key)
        with installation.connect() as postgres:
            postgres.execute(INSERT_MEMORIES_SQL, [DUPLICATES])
        dry = start(installation, "--dry-run", "--pairs")
        listed = (await asyncio.to_thread(dry.communicate, None, FINISH_SECONDS))[0].decode()
        changed = count(installation, SUPERSEDED_SQL)
        killed = start(installation)
        await asyncio.to_thread(wait_until_merged, installation)
        killed.send_signal(signal.SIGKILL)
        await asyncio.to_thread(killed.communicate, None, FINISH_SECONDS)
        left = count(installation, SUPERSEDED_SQL)[0]
        together = [start(installation), start(installation)]
        errors = [(await asyncio.to_thread(each.communicate, None, FINISH_SECONDS))[1].decode() for each in together]
        ended, history = count(installation, SUPERSEDED_SQL), count(installation, HISTORY_SQL)
    assert len(re.findall(r"^memory [0-9a-f-]{36} by [0-9a-f-]{36}$", listed, re.M)) == DUPLICATES
    assert (changed, "stamps" in listed) == ((0,), False)
    assert 0 < left < DUPLICATES, "the command was killed in the middle"
    assert left % PAIRS_PER_TRANSACTION == 0
    assert [each.returncode for each in together] == [0, 0], errors
    assert (ended, history) == ((DUPLICATES,), (DUPLICATES, DUPLICATES))


def start(installation: Installation, *options: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "app", "consolidate", "--duplicates", *options]
    settings = environment(installation.data_dir, **installation.settings)
    return subprocess.Popen(command, cwd=ROOT, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_until_merged(installation: Installation) -> None:
    while count(installation, SUPERSEDED_SQL) == (0,):
        time.sleep(0.02)


def count(installation: Installation, sql: bytes) -> tuple[int, ...]:
    with installation.connect() as postgres:
        row = postgres.execute(sql).fetchone()
    assert row is not None
    return tuple(int(str(each)) for each in row)

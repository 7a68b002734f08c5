"""From mem0's own library, unchanged and with its own store, into ours, as docs/operations.md says, and out again."""

import datetime as dt
import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from app.adapters.embedded_postgres import EmbeddedPostgres
from tests.model_server import Facts, ModelServer, model_server

__all__ = ["model_server"]

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "operations.md"
APPLICATION = Path(__file__).parent / "mem0_library.py"
OPENS = "Memory()"
WHOSE = ("user_id", "agent_id", "run_id")
Rows = dict[str, dict[str, Any]]


def of_mem0(folder: Path, models: ModelServer) -> dict[str, Any]:
    """How somebody configures mem0: its default store and its default provider, here with a folder and an address."""
    openai = {"model": "any", "api_key": "any", "openai_base_url": models.url}
    return {
        "vector_store": {
            "provider": "qdrant",
            "config": {"path": str(folder / "qdrant"), "on_disk": True, "embedding_model_dims": models.DIMENSIONS},
        },
        "embedder": {"provider": "openai", "config": {**openai, "embedding_dims": models.DIMENSIONS}},
        "llm": {"provider": "openai", "config": openai},
        "history_db_path": str(folder / "history.db"),
    }


def run(folder: Path, *arguments: str | Path, at: Path | None = None, **variables: str) -> str:
    """mem0 keeps its own things in `folder`, tells nobody, and finds no model to download."""
    alone = {"MEM0_DIR": str(folder / "mem0"), "MEM0_TELEMETRY": "False", "HF_HUB_OFFLINE": "1"}
    words = [sys.executable, *map(str, arguments)]
    done = subprocess.run(
        words, cwd=at or folder, env={**os.environ, **alone, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def printed_script(config: dict[str, Any]) -> str:
    """The one in the docs, with this application's configuration where it says to put one's own."""
    [script] = [code for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "get_all" in code]
    assert script.count(OPENS) == 1
    return str(script.replace(OPENS, f"Memory.from_config({config!r})"))


def by_id(rows: list[dict[str, Any]]) -> Rows:
    found = {row["id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def move(folder: Path, models: ModelServer, postgres: EmbeddedPostgres, project_id: uuid.UUID, count: int) -> None:
    models.extraction(Facts("User moved to Lisbon", "Assistant was told", attributed_to="assistant"))
    config = of_mem0(folder, models)
    (folder / "config.json").write_text(json.dumps(config))
    stored = json.loads(run(folder, APPLICATION, folder / "config.json", str(count)))
    (folder / "dump.py").write_text(printed_script(config))
    run(folder, "dump.py")
    theirs = by_id(json.loads((folder / "mem0.json").read_text()))
    assert set(theirs) == set(stored)
    assert len(theirs) == count - len(range(3, count, 50)) + 4

    ours_is = {"DATA_DIR": str(folder / "ours"), "DATABASE_URL": postgres.url("keepsake_app")}
    ours_is["ADMIN_DATABASE_URL"] = postgres.url("postgres")
    project = ("--project", str(project_id))
    said = run(folder, "-m", "app", "import", folder / "mem0.json", *project, at=ROOT, **ours_is)
    assert f"Imported {len(theirs)} memories" in said
    run(folder, "-m", "app", "export", folder / "out.jsonl", *project, at=ROOT, **ours_is)
    ours = by_id([json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()])
    assert set(ours) == set(theirs)
    for memory_id, each in theirs.items():
        check_whole(each, ours[memory_id])


def check_whole(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Everything mem0 says of a memory has its place here: what has none of its own is metadata."""
    plain = ("memory", "hash", *WHOSE)
    assert {name: ours[name] for name in plain} == {name: theirs.get(name) for name in plain}
    assert moments(ours) == moments(theirs)
    assert ours["expiration_date"] == theirs.get("expiration_date")
    said_by = theirs.get("role") or theirs.get("attributed_to")
    assert said_by in (ours["role"], ours["metadata"].get("role"))
    besides = {"actor_id": theirs["actor_id"]} if "actor_id" in theirs else {}
    unlike = {"role": said_by} if said_by != ours["role"] else {}
    assert ours["metadata"] == {**(theirs["metadata"] or {}), **besides, **unlike}
    known = {"id", "created_at", "updated_at", "expiration_date", "role", "attributed_to", "actor_id", "metadata"}
    assert set(theirs) <= {*known, *plain}


def moments(row: dict[str, Any]) -> list[dt.datetime]:
    return [dt.datetime.fromisoformat(row[name]) for name in ("created_at", "updated_at")]


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.long)])
def test_what_mem0s_own_library_holds_comes_in_and_goes_out_whole(
    count: int, tmp_path: Path, model_server: ModelServer, postgres: EmbeddedPostgres, project_id: uuid.UUID
) -> None:
    move(tmp_path, model_server, postgres, project_id, count)

"""Move memories from mem0's own library and store into Keepsake as docs/operations.md describes, and export them."""

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
from tests.model_server import Facts, ModelServer
from tests.portability.files import read_export

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "operations.md"
APPLICATION = Path(__file__).parent / "mem0_library.py"
OPENS = "Memory()"
ENTITY_FIELDS = ("user_id", "agent_id", "run_id")
Rows = dict[str, dict[str, Any]]


def mem0_config(folder: Path, models: ModelServer) -> dict[str, Any]:
    """A configuration of mem0 with its default store and provider, a local folder and a local address."""
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
    """Run without telemetry and model downloads, with the files of mem0 in `folder`."""
    environment = {"MEM0_DIR": str(folder / "mem0"), "MEM0_TELEMETRY": "False", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(
        command,
        cwd=at or folder,
        env={**os.environ, **environment, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def printed_script(config: dict[str, Any]) -> str:
    """The script from the documentation, with the configuration of this application."""
    [script] = [code for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "get_all" in code]
    assert script.count(OPENS) == 1
    return str(script.replace(OPENS, f"Memory.from_config({config!r})"))


def by_id(rows: list[dict[str, Any]]) -> Rows:
    found = {row["id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def move(folder: Path, models: ModelServer, postgres: EmbeddedPostgres, project_id: uuid.UUID, count: int) -> None:
    models.extraction(Facts("User moved to Lisbon", "Assistant was told", attributed_to="assistant"))
    config = mem0_config(folder, models)
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
    output = run(folder, "-m", "app", "import", folder / "mem0.json", *project, at=ROOT, **ours_is)
    assert f"Imported {len(theirs)} memories" in output
    run(folder, "-m", "app", "export", folder / "out.jsonl", *project, at=ROOT, **ours_is)
    ours = read_export(folder / "out.jsonl")
    assert set(ours) == set(theirs)
    for memory_id, each in theirs.items():
        check_complete(each, ours[memory_id])


def check_complete(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Every field of a memory of mem0 is a field or metadata here."""
    plain = ("memory", "hash", *ENTITY_FIELDS)
    assert {name: ours[name] for name in plain} == {name: theirs.get(name) for name in plain}
    assert moments(ours) == moments(theirs)
    assert ours["expiration_date"] == theirs.get("expiration_date")
    role = theirs.get("role") or theirs.get("attributed_to")
    assert role in (ours["role"], ours["metadata"].get("role"))
    extra = {"actor_id": theirs["actor_id"]} if "actor_id" in theirs else {}
    other_role = {"role": role} if role != ours["role"] else {}
    assert ours["metadata"] == {**(theirs["metadata"] or {}), **extra, **other_role}
    known = {"id", "created_at", "updated_at", "expiration_date", "role", "attributed_to", "actor_id", "metadata"}
    assert set(theirs) <= {*known, *plain}


def moments(row: dict[str, Any]) -> list[dt.datetime]:
    return [dt.datetime.fromisoformat(row[name]) for name in ("created_at", "updated_at")]


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.long)])
def test_mem0_library_memories_survive_import_and_export_unchanged(
    count: int, tmp_path: Path, model_server: ModelServer, postgres: EmbeddedPostgres, project_id: uuid.UUID
) -> None:
    move(tmp_path, model_server, postgres, project_id, count)

"""An export, imported where its rows do not exist, gives the same export again."""

import datetime as dt
import uuid
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.database.database import Database
from app.core.errors import BadRequest
from app.core.ports import Role
from app.core.resources import Resources
from app.memory.edit import Owner, change_memory
from app.memory.entities import EntityRepository
from app.memory.ledger import FeedbackRepository, Kind, NewMemory
from app.memory.messages import MessageDraft, store_messages
from app.memory.namespace import Namespace
from app.memory.origin import Origin
from app.memory.remember import remember
from app.memory.user_profiles.repository import UserProfileRepository
from app.portability.line_format import EXPORTED_FIELDS
from app.portability.lines import LINE_MODELS, LINE_TYPES
from app.profiles.repository import ProfileRepository
from app.sessions.privacy import PrivacyMode
from app.sessions.repository import MessageRepository, SessionRepository
from tests.portability.files import (
    data_lines,
    delete_project,
    export_file,
    import_file,
    other_project,
    read_lines,
)

NOON = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
HOSTILE = {
    "right to left": "\u202e\u05e9\u05dc\u05d5\u05dd \u202d world",
    "astral": "😀 👩‍👩‍👧 \U0001f1eb\U0001f1ee",
    "escapes": 'back\\slash \\u0000 "quotes" \t\r\n end',
    "separators": "a\u2028b\u2029c\u0085d\x1f\x7f",
    "long": "wörd " * 20_000,
    "json": '{"type": "end", "keepsake": "export"}',
    "spaces": "  two spaces  ",
    "combining": "e\u0301 is not \u00e9",
}
METADATA = {"nested": {"deep": [1, None, "ü", 1.5, 10**18, True]}, "type": "memory", "": "empty name", "\u202e": "x"}
SET_STATES = """
update memories set archived_at = :noon, replaced_by = :other, valid_from = :noon, valid_until = :later,
  coexists_with = array[:other, id], access_count = 7,
  accessed_at = cast(array[:noon, :later] as timestamptz[])
where id = :id
"""


async def fill_project(resources: Resources, project_id: uuid.UUID, user_id: str) -> list[uuid.UUID]:
    """Rows of every type, among them hostile ones. Returns the ids of the memories."""
    async with resources.database.transaction(project_id) as tx:
        profiles = ProfileRepository(tx, project_id)
        home = (await profiles.create(user_id, is_default=False, name="Zuhause", persona="Du bist höflich.\n")).id
        work = (await profiles.create(user_id, is_default=True, name="Arbeit \u202e", description="")).id
        await SessionRepository(tx, project_id).add(user_id=user_id, profile_id=home, privacy_mode="incognito")
        session = await SessionRepository(tx, project_id).add(
            user_id=user_id, profile_id=work, summary="Anna likes tea", title=None
        )
        messages = MessageRepository(tx, project_id, user_id)
        sent = [
            await messages.append(session, role, content, mode=PrivacyMode.NORMAL, metadata_={"interrupted": True})
            for role, content in (("user", "x" * 100_000), ("assistant", ""), ("user", HOSTILE["right to left"]))
        ]
        session.summary_through = sent[1].position
        await EntityRepository(tx, project_id).add(
            type="agent", entity_id=f"bot of {user_id}", display_name="Bot \u202e", metadata_=METADATA
        )
    namespace = Namespace(project_id, user_id, work)
    new = [NewMemory(content, metadata=METADATA, created_at=NOON) for content in HOSTILE.values()]
    new.append(
        NewMemory(
            "An episode",
            kind=Kind.EPISODE,
            role=Role.ASSISTANT,
            context="",
            origin=Origin(agent_id="a\u202e", app_id="", run_id=str(session.id)),
            categories=[],
            importance=0.1,
            immutable=True,
            expires_on=dt.date(2020, 2, 29),
            source_message_id=sent[0].id,
            input=({"role": "user", "content": "An episode"},),
        )
    )
    ids = [each.id for each in (await remember(resources, namespace, new)).results]
    await remember(resources, Namespace(project_id), [NewMemory("Of an agent", origin=Origin(agent_id="bot"))])
    await remember(resources, Namespace(project_id, user_id, home), [NewMemory("At home", categories=["home"])])
    drafts = [
        MessageDraft("talk \u202e", Role.SYSTEM, "Of a tenant", "tenant \u202e", user_id, METADATA, 0.25, NOON),
        MessageDraft("talk", Role.ASSISTANT, "Of nobody"),
    ]
    await store_messages(resources, Owner(project_id), drafts)
    await change_memory(resources, Owner(project_id), ids[0], {"content": "\u202eChanged", "metadata": {}})
    async with resources.database.transaction(project_id) as tx:
        later = NOON + dt.timedelta(microseconds=1)
        await tx.execute(text(SET_STATES), {"noon": NOON, "later": later, "other": ids[2], "id": ids[1]})
        await FeedbackRepository(tx, project_id).put(ids[3], "VERY_NEGATIVE", "because \u202e")
        await UserProfileRepository(tx, project_id).put(namespace, {"likes": ["tea ☕"]}, ids[:2], None)
    return ids


async def test_export_imported_into_an_empty_instance_gives_the_same_export(
    resources: Resources, database: Database, project_id: uuid.UUID, admin_engine: AsyncEngine, tmp_path: Path
) -> None:
    user_id = f"anna \u202e {uuid.uuid4()}"
    await fill_project(resources, project_id, user_id)
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    counts = await export_file(database, project_id, first)
    assert counts == {
        **{"profile": 2, "session": 2, "message": 3, "memory": len(HOSTILE) + 5, "history": len(HOSTILE) + 6},
        **{"feedback": 1, "user_profile": 1, "entity": 1},
    }
    await delete_project(admin_engine, project_id)
    target = await other_project(database)
    done = await import_file(database, target, first)
    assert (done.problems, done.was_cut_off, dict(done.added)) == ([], False, counts)
    await export_file(database, target, second)
    assert data_lines(second) == data_lines(first)
    again = await import_file(database, target, first)
    assert (again.added.total(), dict(again.already_there), again.problems) == (0, counts, [])
    await export_file(database, target, second)
    assert data_lines(second) == data_lines(first)


async def test_blank_memories_of_earlier_versions_are_not_exported(
    resources: Resources, database: Database, project_id: uuid.UUID, tmp_path: Path
) -> None:
    ids = await fill_project(resources, project_id, "anna")
    async with database.transaction(project_id) as tx:
        await tx.execute(text("update memories set content = E' \\u200b' where id = :id"), {"id": ids[0]})
    await export_file(database, project_id, tmp_path / "out.jsonl")
    named = {line.get("memory_id", line.get("id")) for line in read_lines(tmp_path / "out.jsonl")}
    assert str(ids[0]) not in named
    assert str(ids[1]) in named


async def test_export_of_a_user_contains_no_row_of_another(
    resources: Resources, database: Database, project_id: uuid.UUID, tmp_path: Path
) -> None:
    await fill_project(resources, project_id, "anna")
    await export_file(database, project_id, tmp_path / "anna.jsonl", "anna")
    lines = read_lines(tmp_path / "anna.jsonl")
    await fill_project(resources, project_id, "ben")
    await export_file(database, project_id, tmp_path / "again.jsonl", "anna")
    assert data_lines(tmp_path / "again.jsonl") == data_lines(tmp_path / "anna.jsonl")
    assert {line["user_id"] for line in lines if "user_id" in line} == {"anna"}
    assert "Of an agent" not in {line.get("memory") for line in lines}


async def test_export_has_a_header_and_ends_with_the_counts(
    resources: Resources, database: Database, project_id: uuid.UUID, tmp_path: Path
) -> None:
    await fill_project(resources, project_id, "anna")
    counts = await export_file(database, project_id, tmp_path / "out.jsonl")
    header, *rest, end = read_lines(tmp_path / "out.jsonl")
    assert (header["keepsake"], header["version"], header["user_id"]) == ("export", 1, None)
    assert end == {"type": "end", "lines": counts}
    assert sum(counts.values()) == len(rest)


def test_names_of_the_types_are_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "export-format.md").read_text()
    missing = [name for name in documented_names() if f"`{name}`" not in page]
    assert missing == []


def documented_names() -> list[str]:
    fields: set[str] = {name for model in LINE_MODELS.values() for name in model.model_fields}
    return sorted({*LINE_TYPES, *fields, *EXPORTED_FIELDS.values()})


async def test_export_file_is_private(database: Database, project_id: uuid.UUID, tmp_path: Path) -> None:
    await export_file(database, project_id, tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").stat().st_mode & 0o077 == 0


async def test_export_into_a_missing_folder_is_refused(
    database: Database, project_id: uuid.UUID, tmp_path: Path
) -> None:
    with pytest.raises(BadRequest, match=r"There is no folder .*\. Create it"):
        await export_file(database, project_id, tmp_path / "nowhere" / "out.jsonl")

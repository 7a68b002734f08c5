"""Conversations of ChatGPT and Claude become sessions with the messages that their user saw."""

import json
import uuid
from pathlib import Path
from typing import Any

from app.core.database.database import Database
from app.portability.imports.chats import read_chat
from tests.portability.files import Json, export_file, import_file, read_lines


def node(key: str, parent: str | None, role: str, *parts: object, **more: Any) -> Json:
    content = {"content_type": more.pop("content_type", "text"), "parts": list(parts)}
    message = {"id": key, "author": {"role": role, "name": None}, "create_time": 1736209400.5, "content": content}
    return {
        "id": key,
        "parent": parent,
        "children": [],
        "message": {**message, "weight": 1.0, "recipient": "all", **more},
    }


def chatgpt(**more: Any) -> Json:
    nodes = [
        {"id": "root", "parent": None, "children": ["hidden"], "message": None},
        node("hidden", "root", "system", "", metadata={"is_visually_hidden_from_conversation": True}),
        node("old", "hidden", "user", "I like coffe"),
        node("edited", "hidden", "user", "I like coffee \u202e"),
        node("tool call", "edited", "assistant", "search(coffee)", recipient="browser"),
        node("tool", "tool call", "tool", "found"),
        node("code", "tool", "assistant", "print()", content_type="code"),
        node(
            "answer",
            "code",
            "assistant",
            "Noted.",
            {"content_type": "image_asset_pointer"},
            content_type="multimodal_text",
        ),
        node(
            "spoken",
            "answer",
            "user",
            {"content_type": "audio_transcription", "text": "And tea"},
            content_type="multimodal_text",
        ),
        node("blank", "spoken", "assistant", " \n"),
    ]
    for each in nodes:
        for other in nodes:
            if other["parent"] == each["id"]:
                each["children"].append(other["id"])
    conversation = {
        "title": "Coffee",
        "create_time": 1736209400.0,
        "update_time": 1736209800.0,
        "current_node": "blank",
    }
    return {
        **conversation,
        "conversation_id": "c-1",
        "id": "c-1",
        "mapping": {each["id"]: each for each in nodes},
        **more,
    }


def claude(**more: Any) -> Json:
    messages = [
        {
            "uuid": "m-1",
            "sender": "human",
            "text": "I like tea",
            "created_at": "2025-03-01T10:00:00.123456Z",
            "files": [],
        },
        {
            "uuid": "m-2",
            "sender": "assistant",
            "text": "",
            "content": [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Noted."}],
        },
        {"uuid": "m-3", "sender": "human", "text": "", "content": [], "attachments": [{"file_name": "x"}]},
        "nonsense",
    ]
    times = {"created_at": "2025-03-01T10:00:00Z", "updated_at": "2025-03-01T10:05:00+00:00"}
    return {"uuid": "c-2", "name": "Tea", **times, "account": {"uuid": "a"}, "chat_messages": messages, **more}


def test_chatgpt_conversation_is_the_thread_that_was_shown() -> None:
    session, messages = read_chat(chatgpt(), "anna")
    assert (session.title, session.created_at.isoformat()) == ("Coffee", "2025-01-07T00:23:20+00:00")
    shown = [(message.role, message.content) for message in messages]
    assert shown == [("user", "I like coffee \u202e"), ("assistant", "Noted."), ("user", "And tea")]
    assert {message.session_id for message in messages} == {session.id}


def test_chatgpt_conversation_without_a_current_node_ends_at_its_newest_leaf() -> None:
    conversation = chatgpt(current_node=None)
    conversation["mapping"]["old"]["message"]["create_time"] = 1736209999
    _, messages = read_chat(conversation, "anna")
    assert [message.content for message in messages] == ["I like coffe"]


def test_chatgpt_conversation_with_a_circle_ends() -> None:
    conversation = chatgpt()
    conversation["mapping"]["root"]["parent"] = "blank"
    assert len(read_chat(conversation, "anna")[1]) == 3


def test_claude_conversation_has_the_texts_of_its_messages() -> None:
    session, messages = read_chat(claude(), "anna")
    assert (session.title, session.updated_at.isoformat()) == ("Tea", "2025-03-01T10:05:00+00:00")
    assert [(each.role, each.content) for each in messages] == [("user", "I like tea"), ("assistant", "Noted.")]
    assert messages[0].created_at.isoformat() == "2025-03-01T10:00:00.123456+00:00"
    unreadable, _ = read_chat(claude(created_at="0001-01-01T00:00:00+14:00"), "anna")
    assert unreadable.created_at == messages[0].created_at, "a time that cannot be stored is none"


async def test_chats_are_imported_once_for_each_user(database: Database, project_id: uuid.UUID, tmp_path: Path) -> None:
    broken = [
        claude(uuid=None),
        {"uuid": "c-3", "chat_messages": []},
        chatgpt(create_time="soon", conversation_id="c-4"),
    ]
    (tmp_path / "conversations.json").write_text(json.dumps([chatgpt(), claude(), *broken]))
    for user in ("anna", "ben"):
        first, second = [
            await import_file(database, project_id, tmp_path / "conversations.json", user) for _ in range(2)
        ]
        assert dict(first.added) == {"session": 4, "message": 8}
        assert (second.added.total(), second.already_there["message"]) == (0, 8)
        assert [problem.line for problem in first.problems] == [3]
    await export_file(database, project_id, tmp_path / "out.jsonl", "anna")
    lines = read_lines(tmp_path / "out.jsonl")
    [session] = [line for line in lines if line.get("title") == "Tea"]
    texts = [line["content"] for line in lines if line.get("session_id") == session["id"]]
    assert (session["profile"], texts) == ("Default", ["I like tea", "Noted."])


async def test_chats_need_a_user(database: Database, project_id: uuid.UUID, tmp_path: Path) -> None:
    (tmp_path / "conversations.json").write_text(json.dumps([claude()]))
    done = await import_file(database, project_id, tmp_path / "conversations.json")
    assert "names no user. Choose one" in done.problems[0].detail

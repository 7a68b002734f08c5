"""An import over HTTP."""

import json
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.database.database import Database
from app.portability.exports.read_rows import DataScope
from app.portability.imports.parse import ValueParser
from app.portability.imports.routes import MAX_IMPORT_BYTES
from app.portability.imports.run import Import
from tests.conftest import KeyHolder, MakeKey, SignedUp, SignUp
from tests.members import add_member
from tests.portability.files import Json

TIME = "2024-05-01T12:00:00Z"
HEADER = {"keepsake": "export", "version": 1, "created_at": TIME, "user_id": None}
END = {"type": "end", "lines": {}}


def memory(words: str, user_id: str = "anna", **more: object) -> Json:
    return {"type": "memory", "id": str(uuid.uuid4()), "memory": words, "user_id": user_id, "created_at": TIME, **more}


async def send(client: httpx.AsyncClient, *lines: Json, query: str = "", **headers: str) -> Json:
    body = "".join(json.dumps(line) + "\n" for line in lines)
    response = await client.post(f"/v1/import{query}", content=body, headers=headers)
    assert response.status_code == 200, response.text
    report: Json = response.json()
    return report


async def texts_of(client: httpx.AsyncClient, user_id: str, **headers: str) -> list[str]:
    filters = {"filters": {"user_id": user_id}}
    listed = (await client.post("/v3/memories/", json=filters, headers=headers)).json()
    return sorted(each["memory"] for each in listed["results"])


async def test_import_reports_what_was_added_and_each_line_that_was_not(client: httpx.AsyncClient) -> None:
    good, blank, nul = memory("I keep bees"), memory(" \u200b"), memory("I keep \0 bees")
    orphan = {"type": "message", "id": str(uuid.uuid4()), "session_id": str(uuid.uuid4()), "role": "user"}
    orphan |= {"content": "x", "created_at": TIME}
    wrong = {**orphan, "role": "nobody"}
    lost = {
        "type": "history",
        "id": str(uuid.uuid4()),
        "memory_id": str(uuid.uuid4()),
        "event": "ADD",
        "created_at": TIME,
    }
    account = {"type": "account", "id": str(uuid.uuid4()), "email": "anna@example.com"}
    lines = (HEADER, account, good, blank, nul, orphan, wrong, lost, memory("I keep goats"), END)
    report = await send(client, *lines)
    assert (report["added"], report["skipped"]) == ({"memory": 2}, {"account": 1})
    assert sorted(error["line"] for error in report["errors"]) == [4, 5, 6, 7, 8]
    details = {error["line"]: error["detail"] for error in report["errors"]}
    assert "no text" in details[4]
    assert "NUL" in details[5]
    assert "session" in details[6]
    assert "`role`" in details[7]
    assert "memory that was not imported" in details[8]
    assert (report["error_count"], report["complete"], report["next_line"]) == (5, True, None)
    again = await send(client, *lines)
    assert (again["added"], again["already_there"]) == ({}, {"memory": 2})
    assert await texts_of(client, "anna") == ["I keep bees", "I keep goats"]


async def test_import_reports_an_unknown_type_and_says_how_to_name_a_user(client: httpx.AsyncClient) -> None:
    report = await send(client, memory("I keep bees", type="wat"), {"memory": "I keep pigs"}, memory("I keep goats"))
    assert (report["added"], [error["line"] for error in report["errors"]]) == ({"memory": 1}, [1, 2])
    unknown_type, no_user = [error["detail"] for error in report["errors"]]
    assert "unknown `type`" in unknown_type
    assert "`?user_id=` of `POST /v1/import`" in no_user


async def test_form_is_refused_with_the_option_of_curl_that_works(client: httpx.AsyncClient) -> None:
    line = json.dumps(memory("I keep bees")) + "\n"
    refused = await client.post("/v1/import", files={"file": ("export.jsonl", line)})
    assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_media_type")
    assert "--data-binary" in refused.json()["detail"]
    assert await texts_of(client, "anna") == []
    by_curl = {"Content-Type": "application/x-www-form-urlencoded"}  # what curl sends with --data-binary
    assert (await client.post("/v1/import", content=line, headers=by_curl)).json()["added"] == {"memory": 1}


async def test_imported_memories_are_found_at_once(client: httpx.AsyncClient) -> None:
    await send(client, memory("I keep bees in Lisbon"))
    query = {"query": "Who keeps bees?", "filters": {"user_id": "anna"}}
    found = (await client.post("/v3/memories/search/", json=query)).json()["results"]
    assert [each["memory"] for each in found] == ["I keep bees in Lisbon"]


async def test_ids_of_another_project_are_replaced_and_nothing_of_it_changes(
    client: httpx.AsyncClient, make_key: MakeKey, sign_up: SignUp
) -> None:
    profile = {"type": "profile", "id": str(uuid.uuid4()), "user_id": "anna", "name": "Own", "is_default": True}
    profile |= {"created_at": TIME, "updated_at": TIME}
    session = {"type": "session", "id": str(uuid.uuid4()), "user_id": "anna", "profile": "Own"}
    session |= {"created_at": TIME, "updated_at": TIME}
    message = {"type": "message", "id": str(uuid.uuid4()), "session_id": session["id"], "role": "user", "content": "Hi"}
    newer = memory("I keep goats", profile="Own")
    older = memory("I keep bees", profile="Own", replaced_by=newer["id"], source_message_id=message["id"])
    history = {"type": "history", "id": str(uuid.uuid4()), "memory_id": older["id"], "event": "ADD", "created_at": TIME}
    lines = (profile, session, {**message, "created_at": TIME}, newer, older, {**history, "new_memory": "I keep bees"})
    await send(client, *lines)
    there = (await make_key(project=(await sign_up()).project_id)).client
    report = await send(there, *lines)
    assert report["added"] == {"profile": 1, "session": 1, "message": 1, "memory": 2, "history": 1}
    assert report["errors"] == []
    again = await send(there, *lines)
    assert (again["added"], sum(again["already_there"].values())) == ({}, 6)
    rows = (await there.post("/v3/memories/", json={"filters": {"user_id": "anna"}, "show_superseded": True})).json()[
        "results"
    ]
    copies = {each["memory"]: each["id"] for each in rows}
    assert set(copies.values()).isdisjoint({older["id"], newer["id"]})
    changes = (await there.get(f"/v1/memories/{copies['I keep bees']}/history/")).json()
    assert [change["new_memory"] for change in changes] == ["I keep bees"]
    [copied] = (await there.get("/v1/sessions", params={"user_id": "anna"})).json()["results"]
    assert copied["id"] != session["id"]
    shown = (await there.get(f"/v1/sessions/{copied['id']}/messages")).json()["results"]
    assert [each["content"] for each in shown] == ["Hi"]
    assert (await client.get(f"/v1/memories/{older['id']}/")).json()["memory"] == "I keep bees"


async def test_end_user_imports_into_their_own_data_only(
    key_holder: KeyHolder, sign_up: SignUp, admin_engine: AsyncEngine
) -> None:
    person = await sign_up()
    await add_member(key_holder.client, f"/v1/projects/{key_holder.project_id}/members", person, "USER")
    theirs = {"X-Project-Id": str(key_holder.project_id)}
    of_ben = memory("I keep goats", "ben")
    await send(key_holder.client, of_ben)
    header = {**HEADER, "user_id": "my former id"}
    mine, other = memory("I keep bees", "my former id"), memory("I keep pigs", "ben")
    stolen = {**memory("I keep wolves", "my former id"), "id": of_ben["id"]}
    stored = memory("Stored by an application", "my former id", kind="message", conversation_id="talk", categories=[])
    report = await send(person.client, header, mine, other, stolen, stored, END, **theirs)
    assert (report["added"], [error["line"] for error in report["errors"]]) == ({"memory": 3}, [3])
    assert await texts_of(person.client, str(person.account_id), **theirs) == ["I keep bees", "I keep wolves"]
    assert await texts_of(key_holder.client, "ben") == ["I keep goats"]
    async with admin_engine.connect() as connection:
        owner = await connection.scalar(text("select user_id from memories where id = :id"), {"id": of_ben["id"]})
    assert owner == "ben"


async def test_interrupted_import_is_completed_by_the_same_request(client: httpx.AsyncClient) -> None:
    lines = [memory(f"I keep {number} bees") for number in range(450)]
    await send(client, *lines[:300])
    report = await send(client, *lines)
    assert (report["added"], report["already_there"]) == ({"memory": 150}, {"memory": 300})


async def test_import_stops_before_the_time_limit_and_says_where_to_go_on(
    key_holder: KeyHolder, database: Database
) -> None:
    lines = [memory(f"I keep {number} bees") for number in range(450)]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()

    async def parts() -> AsyncIterator[bytes]:
        yield body[:1000]
        yield body[1000:]

    scope = DataScope(key_holder.project_id)
    done = await Import(database, scope, ValueParser(), may_continue=lambda: False).run(parts())
    assert (done.added["memory"], done.next_line) == (200, 200)
    report = await send(key_holder.client, *lines[199:])
    assert (report["added"], report["complete"]) == ({"memory": 250}, True)


async def test_file_that_was_cut_off_is_reported(client: httpx.AsyncClient) -> None:
    report = await send(client, HEADER, memory("I keep bees"))
    assert (report["added"], report["complete"]) == ({"memory": 1}, False)


async def test_import_of_a_newer_format_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/import", content=json.dumps({**HEADER, "version": 2}))
    assert (response.status_code, "newer server" in response.json()["detail"]) == (400, True)


async def test_import_has_a_limit_of_its_own(client: httpx.AsyncClient) -> None:
    filler = json.dumps(memory("x", metadata={"padding": "y" * (5 << 20)}))
    response = await client.post("/v1/import", content=filler)
    assert (response.status_code, response.json()["added"]) == (200, {"memory": 1})
    padded = json.dumps([{"memory": "x", "user_id": "anna"}] + [{"padding": "y" * (1 << 20)}] * 17)
    response = await client.post("/v1/import", content=padded)
    assert (response.json()["added"], "16 MB" in response.json()["errors"][0]["detail"]) == ({}, True)
    too_long = {"Content-Length": str(MAX_IMPORT_BYTES + 1)}
    response = await client.post("/v1/import", content=b"{}", headers=too_long)
    assert (response.status_code, "64 MB" in response.json()["detail"]) == (413, True)


async def test_row_that_postgres_refuses_does_not_stop_the_others(client: httpx.AsyncClient) -> None:
    misplaced = memory("A message without a conversation", kind="message", categories=[])
    report = await send(client, memory("I keep bees"), misplaced, memory("I keep goats"))
    assert (report["added"], [error["line"] for error in report["errors"]]) == ({"memory": 2}, [2])


async def test_import_needs_the_right_to_write_everything_in_it(make_key: MakeKey) -> None:
    key = await make_key("memories:write", "profiles:write")
    response = await key.client.post("/v1/import", content="{}")
    assert (response.status_code, "sessions:write" in response.json()["detail"]) == (403, True)


@pytest.mark.parametrize("version", [None, 0, "1", [1]], ids=["none", "zero", "text", "list"])
async def test_header_without_a_version_is_refused(client: httpx.AsyncClient, version: object) -> None:
    response = await client.post("/v1/import", content=json.dumps({**HEADER, "version": version}))
    assert response.status_code == 400


async def test_lines_that_name_no_user_belong_to_the_signed_in_account(owner: SignedUp) -> None:
    report = await send(owner.client, {"memory": "I keep bees"})
    assert report["added"] == {"memory": 1}
    assert await texts_of(owner.client, str(owner.account_id)) == ["I keep bees"]

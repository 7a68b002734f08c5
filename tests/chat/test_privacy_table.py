"""The table of privacy modes. Each effect is checked where it appears: prompt, rows, jobs, request, logs."""

import itertools
import uuid

import pytest

from app.core.resources import Resources
from app.memory.ledger import NewMemory
from app.memory.namespace import Namespace
from app.memory.remember import remember
from app.worker import run_jobs
from tests.chat.conftest import StartConversation
from tests.chat.conversation import AdminRows, Conversation
from tests.model_server import ModelServer, Says

pytestmark = pytest.mark.plain_rows
EXPECTED = {
    "normal": {
        "memory is in the prompt": True,
        "memories recalled": 1,
        "facts": 1,
        "episodes": 2,
        "messages": 2,
        "jobs queued": 1,
        "accesses counted": 1,
        "store parameter": None,
        "short-term messages": 2,
        "ids are given": True,
    },
    "pause_memories": {
        "memory is in the prompt": True,
        "memories recalled": 1,
        "facts": 0,
        "episodes": 0,
        "messages": 2,
        "jobs queued": 0,
        "accesses counted": 0,
        "store parameter": None,
        "short-term messages": 2,
        "ids are given": True,
    },
    "incognito": {
        "memory is in the prompt": False,
        "memories recalled": 0,
        "facts": 0,
        "episodes": 0,
        "messages": 0,
        "jobs queued": 0,
        "accesses counted": 0,
        "store parameter": False,
        "short-term messages": 2,
        "ids are given": False,
    },
}


async def run_extraction(chat_resources: Resources, admin_rows: AdminRows, project_id: uuid.UUID) -> None:
    async with run_jobs(chat_resources, concurrency=2, poll_seconds=0.1):
        await admin_rows.wait_until_true(
            "select not exists (select from jobs.procrastinate_jobs where args ->> 'project_id' = :id"
            " and status in ('todo', 'doing') and task_name = 'memory.extract')",
            id=str(project_id),
        )


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("mode", EXPECTED)
async def test_privacy_mode_has_exactly_the_effects_of_the_table(
    mode: str,
    streamed: bool,
    conversation: StartConversation,
    chat_resources: Resources,
    model_server: ModelServer,
    admin_rows: AdminRows,
    debug_logging: None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    sent, replied = f"Kwik{uuid.uuid4().hex}", f"Sure{uuid.uuid4().hex}"
    session = await conversation(mode)
    namespace = Namespace(session.project_id, session.user_id, uuid.UUID(session.profile_id))
    await remember(chat_resources, namespace, [NewMemory("My sister Ines lives in Lisbon")])
    model_server.always(Says(replied, " indeed"))
    before = await admin_rows.count_jobs(session.project_id)
    answer = await session.send_or_stream(f"I work at {sent}. Where does my sister Ines live?", streamed=streamed)

    jobs = await admin_rows.count_jobs(session.project_id) - before
    await run_extraction(chat_resources, admin_rows, session.project_id)
    [request] = [each for each in model_server.conversations if sent in str(each)]
    facts = await admin_rows.memory_contents(session.project_id, "fact")
    episodes = await admin_rows.memory_contents(session.project_id, "episode")
    access = "select access_count + cardinality(accessed_at) from memories where content like '%Lisbon'"
    shown = {
        "memory is in the prompt": "Lisbon" in str(request["messages"]),
        "memories recalled": len(answer["recalled"]),
        "facts": sum(sent in fact for fact in facts),
        "episodes": sum(sent in episode or replied in episode for episode in episodes),
        "messages": len(await session.list_messages()),
        "jobs queued": jobs,
        "accesses counted": int(await admin_rows.select_value(f"{access} and project_id = :id", id=session.project_id))
        // 2,
        "store parameter": request.get("store"),
        "short-term messages": await session.count_short_term_messages(),
        "ids are given": bool(answer["event_id"] or answer["message"]["id"] or answer["user_message"]["id"]),
    }
    assert shown == EXPECTED[mode]
    assert answer["message"]["content"] == f"{replied} indeed"
    assert answer["will_remember"] is (mode == "normal")
    assert bool(await admin_rows.tables_containing(sent)) is (mode != "incognito")
    logged = "".join(capfd.readouterr())
    assert "request" in logged, "without any log line the check proves nothing"
    assert sent not in logged
    assert replied not in logged


@pytest.mark.parametrize("order", list(itertools.permutations(EXPECTED)), ids="-".join)
async def test_privacy_mode_change_applies_from_the_next_message(
    order: tuple[str, ...],
    conversation: StartConversation,
    chat_resources: Resources,
    model_server: ModelServer,
    admin_rows: AdminRows,
) -> None:
    sent = {mode: f"I keep {mode.upper()}{uuid.uuid4().hex}" for mode in EXPECTED}
    session = await conversation(order[0])
    for mode in (*order, *order):
        await session.switch_mode(mode)
        await session.send(f"{sent[mode]}.")
    await run_extraction(chat_resources, admin_rows, session.project_id)

    stored = [message["content"] for message in await session.list_messages() if message["role"] == "user"]
    assert stored == [f"{sent[mode]}." for mode in (*order, *order) if mode != "incognito"]
    assert await admin_rows.tables_containing(sent["incognito"]) == []
    assert await tables_about(admin_rows, sent["pause_memories"]) <= {"public.messages", "public.sessions"}
    assert "public.memories" in await tables_about(admin_rows, sent["normal"])
    after_incognito = order.index("incognito") + 1
    for request in model_server.conversations[after_incognito : after_incognito + 2]:
        assert sent["incognito"] not in str(request)


async def tables_about(admin_rows: AdminRows, words: str) -> set[str]:
    return set(await admin_rows.tables_containing(words))


@pytest.mark.parametrize("mode", ["pause_memories", "incognito"])
async def test_pausing_cancels_the_pending_extraction(
    mode: str, conversation: StartConversation, chat_resources: Resources, admin_rows: AdminRows
) -> None:
    session = await conversation()
    await session.send("I work at Quokka.")
    await session.switch_mode(mode)
    await run_extraction(chat_resources, admin_rows, session.project_id)
    assert await admin_rows.memory_contents(session.project_id, "fact") == []


async def test_incognito_prompt_contains_its_own_messages_and_the_conversation_before(
    conversation: StartConversation, model_server: ModelServer
) -> None:
    session = await conversation()
    await session.send("The plan is called Osprey.")
    await session.switch_mode("incognito")
    await session.send("The code is 4711.")
    await session.send("What is the code?")
    assert "4711" in str(model_server.conversations[-1])
    assert "Osprey" in str(model_server.conversations[-1])


async def leave(session: Conversation, way: str) -> None:
    if way == "reset":
        assert (await session.client.post(f"{session.path}/reset")).status_code == 200
    elif way == "delete":
        assert (await session.client.delete(session.path)).status_code == 200
    elif way == "profile":
        await session.client.post("/v1/profiles", json={"name": "Other", "user_id": session.user_id})
        assert (await session.client.delete(f"/v1/profiles/{session.profile_id}")).status_code == 200
    else:
        await session.switch_mode(way)


@pytest.mark.parametrize("way", ["reset", "delete", "profile", "normal", "pause_memories"])
async def test_incognito_messages_end_with_the_session_or_mode(
    way: str, conversation: StartConversation, chat_resources: Resources
) -> None:
    session = await conversation("incognito")
    await session.send("My secret is Puffin.")
    assert await chat_resources.short_term.get(f"incognito:{session.session_id}") is not None
    await leave(session, way)
    assert await chat_resources.short_term.get(f"incognito:{session.session_id}") is None


async def test_incognito_window_is_encrypted_and_expires(
    conversation: StartConversation, chat_resources: Resources
) -> None:
    session = await conversation("incognito")
    await session.send("My secret is Puffin.")
    kept = await chat_resources.short_term.get(f"incognito:{session.session_id}")
    assert kept is not None
    assert b"Puffin" not in kept

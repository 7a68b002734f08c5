"""The table of privacy modes holds through every API that a person can talk through."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from app.adapters.models.offline import OfflineExtractor
from app.adapters.models.openai import Connection, OpenAIModel
from app.core.resources import Resources
from app.main import create_app
from app.memory.ledger import NewMemory
from app.memory.namespace import Namespace
from app.memory.remember import remember
from app.profiles.repository import ProfileRepository
from tests.chat.conversation import AdminRows
from tests.conftest import KeyHolder
from tests.doors import DOORS, Place
from tests.loopback import serve_on_loopback
from tests.model_server import ModelServer, Says

pytestmark = pytest.mark.plain_rows
EFFECTS: dict[str, dict[str, object]] = {
    "normal": {"reads": True, "episodes": 2, "messages": 2, "jobs": 1, "accesses": 1, "store": None},
    "pause_memories": {"reads": True, "episodes": 0, "messages": 2, "jobs": 0, "accesses": 0, "store": None},
    "incognito": {"reads": False, "episodes": 0, "messages": 0, "jobs": 0, "accesses": 0, "store": False},
}


@dataclass(frozen=True)
class DoorsServer:
    resources: Resources
    url: str


@pytest_asyncio.fixture(scope="module")
async def doors_server(resources: Resources, shared_model_server: ModelServer) -> AsyncIterator[DoorsServer]:
    model = OpenAIModel(Connection(base_url=shared_model_server.url, tries=1), model="any")
    values = replace(resources.config, has_model=True, allowed_models=frozenset({"any"}))
    parts = replace(resources, llm=model, extractor=OfflineExtractor(), config=values)
    async with serve_on_loopback(create_app(parts)) as url:
        yield DoorsServer(parts, url)
    await model.close()


async def add_memory(resources: Resources, project_id: uuid.UUID, user_id: str, text: str) -> None:
    async with resources.database.transaction(project_id) as tx:
        profile = await ProfileRepository(tx, project_id).default_of(user_id)
    await remember(resources, Namespace(project_id, user_id, profile.id), [NewMemory(text)])


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("mode", EFFECTS)
async def test_privacy_mode_has_the_same_effects_through_every_door(
    mode: str,
    door: str,
    doors_server: DoorsServer,
    model_server: ModelServer,
    key_holder: KeyHolder,
    admin_rows: AdminRows,
    debug_logging: None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    sent, replied = f"Kwik{uuid.uuid4().hex}", f"Sure{uuid.uuid4().hex}"
    project_id = key_holder.project_id
    await add_memory(doors_server.resources, project_id, "ann", "My sister Ines lives in Lisbon")
    model_server.always(Says(replied, " indeed"))
    place = Place(doors_server.url, key_holder.key, "ann")
    answer = await DOORS[door].say(place, f"I work at {sent}. Where does my sister Ines live?", mode)

    [request] = [each for each in model_server.conversations if sent in str(each)]
    episodes = await admin_rows.memory_contents(project_id, "episode")
    accesses = "select access_count from memories where content like '%Lisbon' and project_id = :id"
    messages = "select count(*) from messages where project_id = :id"
    shown = {
        "reads": "Lisbon" in str(request["messages"]),
        "episodes": sum(sent in episode or replied in episode for episode in episodes),
        "messages": await admin_rows.select_value(messages, id=project_id),
        "jobs": await admin_rows.count_jobs(project_id, "memory.extract"),
        "accesses": await admin_rows.select_value(accesses, id=project_id),
        "store": request.get("store"),
    }
    kept: dict[str, object] = {} if DOORS[door].keeps_transcript else {"messages": 0}
    assert shown == {**EFFECTS[mode], **kept}
    assert answer == f"{replied} indeed"
    tables = set(await admin_rows.tables_containing(sent))
    assert bool(tables) is (mode == "normal" or (mode == "pause_memories" and DOORS[door].keeps_transcript))
    logged = "".join(capfd.readouterr())
    assert "request" in logged, "without any log line the check proves nothing"
    assert sent not in logged
    assert replied not in logged

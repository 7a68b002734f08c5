"""Incognito leaves no trace in a file, a row or a log line, whatever way a conversation ends."""

import signal
from pathlib import Path

import pytest

from tests.e2e.server import serving
from tests.e2e.traces import Found, Scene, die_in_the_middle, look_for, talk_in_incognito, talk_normally
from tests.model_server import ModelServer

NOTHING = Found(files=[], tables=[], log_lines=0)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "data", ModelServer())


async def test_incognito_leaves_no_trace_where_a_normal_conversation_does(scene: Scene) -> None:
    with scene.models:
        with serving(scene.data_dir, **scene.settings) as keepsake:
            scene.logs.append(keepsake.output)
            await scene.sign_in(keepsake, "signup")
            async with scene.client(keepsake) as client:
                await talk_in_incognito(scene, client)
                assert await look_for(scene, scene.secret) == NOTHING, "while the server runs"
                await die_in_the_middle(scene, client, lambda: keepsake.stop(signal.SIGKILL))
        assert await look_for(scene, scene.secret) == NOTHING, "after the server was killed in mid-answer"
        with serving(scene.data_dir, **scene.settings) as keepsake:
            scene.logs.append(keepsake.output)
            await scene.sign_in(keepsake)
            async with scene.client(keepsake) as client:
                await talk_normally(scene, client)
        found = await look_for(scene, scene.plain)
        assert {"public.messages", "public.memories", "public.memory_history"} <= set(found.tables)
        assert any("pg_wal" in name for name in found.files)
        assert any("/base/" in name for name in found.files)
        assert found.log_lines == 0, "content is in no log line in any mode"
        assert await look_for(scene, scene.secret) == NOTHING, "after everything was stopped"

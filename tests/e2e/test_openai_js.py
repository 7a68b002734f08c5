"""OpenAI's client from npm, unchanged, in a process of its own, over HTTP on loopback."""

import asyncio
from asyncio.subprocess import PIPE
from dataclasses import replace

from app.adapters.models.openai import Connection, OpenAIModel
from app.core.resources import Resources
from app.main import create_app
from tests.conftest import KeyHolder, MakeKey, SignedUp
from tests.e2e.conftest import OPENAI_JS, OPENAI_READY
from tests.e2e.loopback import with_request_limit
from tests.loopback import serve_on_loopback
from tests.model_server import ModelServer


async def test_javascript_client_supports_the_whole_surface(
    resources: Resources, model_server: ModelServer, key_holder: KeyHolder, make_key: MakeKey, owner: SignedUp
) -> None:
    assert OPENAI_READY, "node and its packages are missing: run `npm ci` in tests/e2e/openai_js"
    model = OpenAIModel(Connection(base_url=model_server.url, tries=1), model="test-model")
    config = replace(resources.config, has_model=True, allowed_models=frozenset({"test-model"}))
    other = await make_key(project=owner.project_id)
    app = create_app(replace(resources, llm=model, config=config))
    async with serve_on_loopback(app) as url, serve_on_loopback(with_request_limit(resources, requests=1)) as limited:
        command = ("node", "surface.mjs", url, key_holder.key, other.key, limited)
        node = await asyncio.create_subprocess_exec(*command, cwd=OPENAI_JS, stdout=PIPE, stderr=PIPE)
        _, complaint = await node.communicate()
    await model.close()
    assert node.returncode == 0, complaint.decode()

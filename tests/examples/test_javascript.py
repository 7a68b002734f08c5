"""The examples for Node, unchanged, against a server on loopback."""

import uuid

from tests.conftest import MakeKey
from tests.examples.conftest import MISSING, run_example


async def test_mem0_typescript_example_recalls_what_it_added(server_url: str, make_key: MakeKey) -> None:
    assert "mem0_typescript" not in MISSING, "run `npm ci` in examples/mem0_typescript"
    key = (await make_key()).key
    environment = {"MEM0_TELEMETRY": "false", "KEEPSAKE_URL": server_url, "KEEPSAKE_API_KEY": key}
    assert await run_example("mem0_typescript", "npm", "start", "--silent", **environment) == [
        "status: PENDING",
        "Where does Ben live? -> I moved to Lisbon in May.",
        "What is Ben allergic to? -> I am allergic to peanuts.",
    ]


async def test_supabase_js_example_signs_up_and_then_signs_in(server_url: str) -> None:
    assert "supabase_js" not in MISSING, "run `npm ci` in examples/supabase_js"
    email = f"{uuid.uuid4().hex[:12]}@example.com"
    for _ in range(2):
        lines = await run_example("supabase_js", "npm", "start", "--silent", KEEPSAKE_URL=server_url, EMAIL=email)
        assert lines == [f"signed in as {email}", "remembered: My favourite colour is green."]

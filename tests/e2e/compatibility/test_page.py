"""docs/compatibility.md says of every parameter of mem0's clients what a run shows. WRITE_TABLE=1 writes it anew."""

import os
import re
from pathlib import Path

import httpx
import pytest
from mem0 import MemoryClient

from app.core.resources import Resources
from tests.conftest import MakeKey, SignUp
from tests.e2e.compatibility.platform import AllOutcomes
from tests.e2e.compatibility.surface import Call, every_call
from tests.e2e.mem0_python import close, connect_client

PAGE = Path(__file__).parent.parent.parent.parent / "docs" / "compatibility.md"
TABLE = re.compile(r"(?<=<!-- calls -->\n).*?(?=<!-- /calls -->)", re.DOTALL)


def render_table(found: dict[Call, str], clients: dict[Call, str]) -> str:
    lines = ["| method | parameter | named by | what happens |", "|---|---|---|---|"]
    for (method, parameter), names in clients.items():
        shown = f"`{parameter}`" if parameter else ""
        lines.append(f"| `{method}` | {shown} | {names} | {found.get((method, parameter), 'not called')} |")
    return "\n".join(lines) + "\n"


def test_page_lists_every_parameter_of_both_clients() -> None:
    """Also of a client that was updated."""
    (table,) = TABLE.findall(PAGE.read_text())
    listed = [tuple(cell.strip(" `") for cell in line.split("|")[1:4]) for line in table.splitlines()[2:]]
    assert listed == [(method, parameter, names) for (method, parameter), names in every_call().items()]


@pytest.mark.long
async def test_page_lists_what_happens_with_every_parameter(
    server_url: str, resources: Resources, make_key: MakeKey, sign_up: SignUp
) -> None:
    clients = every_call()
    assert len(clients) > 100, "the list of calls itself must be right"
    mem0 = await connect_client(MemoryClient, server_url, await make_key())
    headers = {"Authorization": f"Token {mem0.key.key}"}
    async with httpx.AsyncClient(base_url=server_url, headers=headers, timeout=30) as http:
        found = await AllOutcomes(mem0, http, resources).observe(sign_up)
    await close(mem0)
    table = render_table(found, clients)
    text = PAGE.read_text()
    if os.environ.get("WRITE_TABLE"):
        text = TABLE.sub(lambda _: table, text)
        PAGE.write_text(text)
    assert set(found) == set(clients)
    assert TABLE.findall(text) == [table]

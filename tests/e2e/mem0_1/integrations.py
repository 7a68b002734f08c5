"""agno and autogen-ext with mem0ai 1.0, unchanged. Run by test_mem0_integrations.py with the server's URL and a key.

Neither has an option for the address of the server, so the client that they construct gets it as its default."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from functools import partial

os.environ["MEM0_TELEMETRY"] = "False"  # read on import

import agno.tools.mem0
import autogen_ext.memory.mem0._mem0 as autogen_module
from agno.run import RunContext
from agno.tools.mem0 import Mem0Tools
from autogen_core.memory import MemoryContent
from autogen_core.model_context import BufferedChatCompletionContext
from autogen_core.models import UserMessage
from autogen_ext.memory.mem0 import Mem0Memory
from mem0 import MemoryClient

URL, KEY = sys.argv[1:]
CARPENTER = "I work as a carpenter"
NO_CREDENTIAL = "neither an access token nor an API key"


def refusal_of(kind: type[Exception], call: Callable[[], object]) -> str:
    try:
        call()
    except kind as error:
        return f"{error} {error.__cause__ or ''}"
    raise AssertionError("A wrong key was accepted")


def use_agno() -> list[str]:
    agno.tools.mem0.MemoryClient = partial(MemoryClient, host=URL)
    context = RunContext(run_id="r", session_id="s", user_id="agno")
    tools = Mem0Tools(api_key=KEY, infer=False, all=True)
    add, search, get_all, delete_all = (
        partial(tools.functions[name].entrypoint, context)
        for name in ("add_memory", "search_memory", "get_all_memories", "delete_all_memories")
    )
    assert json.loads(add(CARPENTER))["results"][0]["event"] == "ADD"
    assert json.loads(add({"Name": "Ana", "Location": "Lisbon"}))["results"][0]["event"] == "ADD"
    assert json.loads(search("What is my profession?"))[0]["memory"] == CARPENTER
    assert len(json.loads(get_all())) == 2
    assert delete_all() == "Successfully deleted all memories for user_id: agno."
    assert json.loads(get_all()) == []
    other = Mem0Tools(api_key=KEY, user_id="agno-facts")
    assert json.loads(other.add_memory(context, CARPENTER))["results"][0]["status"] == "PENDING"
    assert NO_CREDENTIAL in refusal_of(ConnectionError, lambda: Mem0Tools(api_key="m0-wrong"))
    return sorted(tools.functions)


async def use_autogen() -> list[str]:
    autogen_module.MemoryClient = partial(MemoryClient, host=URL)
    memory = Mem0Memory(user_id="autogen", api_key=KEY, limit=3)
    await memory.add(MemoryContent(content=CARPENTER, mime_type="text/plain", metadata={"topic": "work"}))
    await memory.add(MemoryContent(content={"pet": "I have a cat"}, mime_type="application/json"))
    found = []
    for _ in range(600):  # facts are extracted in the background
        found = (await memory.query("What is my profession?")).results
        if found:
            break
        await asyncio.sleep(0.1)
    assert found[0].content == CARPENTER
    assert found[0].metadata["topic"] == "work"
    assert found[0].metadata["score"] > 0
    context = BufferedChatCompletionContext(buffer_size=5)
    await context.add_message(UserMessage(content="What is my profession?", source="user"))
    await memory.update_context(context)
    assert CARPENTER in str((await context.get_messages())[-1].content)
    await memory.clear()
    assert (await memory.query("What is my profession?")).results == []
    await memory.close()
    assert NO_CREDENTIAL in refusal_of(ValueError, lambda: Mem0Memory(user_id="autogen", api_key="m0-wrong"))
    return ["add", "clear", "close", "query", "update_context"]


sys.stdout.write(json.dumps({"agno": use_agno(), "autogen-ext": asyncio.run(use_autogen())}))

"""Remember and recall with mem0's Python client.

Run it with an API key, see ../README.md. `.venv` contains mem0's client; elsewhere `pip install mem0ai` installs it.

    MEM0_TELEMETRY=False .venv/bin/python examples/mem0_python/remember.py
"""

import os
import time

from mem0 import MemoryClient

memory = MemoryClient(
    api_key=os.environ["KEEPSAKE_API_KEY"], host=os.environ.get("KEEPSAKE_URL", "http://127.0.0.1:8000")
)
user = {"user_id": "anna"}

# infer=False stores the text as it is. The response already contains the memory.
memory.add("I am allergic to peanuts.", **user, infer=False)

# Without infer=False, the server extracts what is worth remembering after it has responded: the event is PENDING.
pending = memory.add([{"role": "user", "content": "I moved to Lisbon in May."}], **user)
print("status:", pending["status"])
while True:
    event = memory.client.get(f"/v1/event/{pending['event_id']}/").json()
    if event["status"] in ("SUCCEEDED", "FAILED"):
        break
    time.sleep(0.2)
print("status:", event["status"])

for question in ("What is Anna allergic to?", "Where does Anna live?"):
    results = memory.search(question, filters=user)["results"]
    print(question, "->", results[0]["memory"] if results else "nothing is remembered about that")

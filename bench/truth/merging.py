"""What merging memories that say the same costs: evidence that is found before and after, and how many are merged."""

import asyncio
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.truth.recall import Questions, measure_told
from bench.truth.service import ROOT, Figures, Service, Statement
from bench.truth.sets import load_json, load_locomo, tell_episodes, tell_facts


async def measure_merging(service: Service, data: Path) -> Figures:
    conversations = load_locomo(data)
    questions: Questions = [each["questions"] for each in conversations]
    told = {
        "locomo episodes": [await tell_episodes(service, each) for each in conversations],
        "locomo facts": [await tell_facts(service, each) for each in conversations],
    }
    figures: Figures = {}
    for name, users in told.items():
        figures |= {f"{name} before": (await measure_told(service, name, users, questions))[name]}
    figures["locomo"] = await _consolidate(service)
    for name, users in told.items():
        figures |= {f"{name} after": (await measure_told(service, name, users, questions))[name]}
    facts: Sequence[str] = load_json(data, "consolidation")["facts"]
    await service.add("merged facts", [Statement(each) for each in facts])
    await service.wait_until_indexed("merged facts")
    figures["consolidation-dev"] = await _consolidate(service)
    for belief in load_json(data, "precision")["beliefs"]:
        await service.add("merged beliefs", [Statement(belief["text"])], metadata={"scope": belief["scope"][0]})
    figures["precision-dev"] = await _consolidate(service)
    return figures


async def _consolidate(service: Service) -> Figures:
    """By the command, while the server runs."""
    command = (sys.executable, "-m", "app", "consolidate", "--duplicates", "--data-dir", str(service.folder))
    child = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=dict(os.environ), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output = (await child.communicate())[0].decode()
    found = re.search(r"(\d+) of (\d+) statements, (\d+) duplicates", output)
    if child.returncode:
        raise RuntimeError(f"the command ended with {child.returncode}")
    replaced, statements, merged = map(int, found.groups()) if found else (0, 0, 0)
    return {"statements": statements, "replaced": replaced, "merged": merged}

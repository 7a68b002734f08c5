"""mem0's clients say how important a memory is in its metadata."""

import uuid
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.core.resources import Resources

ADD = "/v3/memories/add/"


def body(importance: object, **values: Any) -> dict[str, Any]:
    given = {"messages": "I love tea", "user_id": "ann", "infer": False, "metadata": {"importance": importance}}
    return {**given, **values}


async def stored_importance(resources: Resources, project_id: uuid.UUID) -> list[float | None]:
    async with resources.database.transaction(project_id) as tx:
        found = await tx.scalars(text("select importance from memories where project_id = :p"), {"p": project_id})
        return list(found)


async def test_importance_in_metadata_is_stored_and_stays_in_the_metadata(
    client: httpx.AsyncClient, resources: Resources, project_id: uuid.UUID
) -> None:
    (added,) = (await client.post(ADD, json=body(0.9))).json()["results"]
    url = f"/v1/memories/{added['id']}/"
    assert await stored_importance(resources, project_id) == [0.9]
    assert (await client.get(url)).json()["metadata"] == {"importance": 0.9}
    await client.put(url, json={"metadata": {"topic": "tea"}})
    assert await stored_importance(resources, project_id) == [0.9]
    await client.put(url, json={"metadata": {"importance": 0.2}})
    assert await stored_importance(resources, project_id) == [pytest.approx(0.2)]
    refused = await client.put(url, json={"metadata": {"importance": "low"}})
    assert refused.status_code == 400
    assert await stored_importance(resources, project_id) == [pytest.approx(0.2)]


@pytest.mark.parametrize("infer", [True, False], ids=["facts", "verbatim"])
@pytest.mark.parametrize("value", ["high", 1.01, -1, True], ids=["text", "above", "below", "boolean"])
async def test_other_importance_is_refused(client: httpx.AsyncClient, value: object, infer: bool) -> None:
    response = await client.post(ADD, json=body(value, infer=infer))
    assert response.status_code == 400
    assert "`metadata.importance` must be a number from 0 to 1" in response.json()["detail"]

from app.version import VERSION
from tests.conftest import MakeKey


async def test_dependencies_and_tasks_are_listed(make_key: MakeKey) -> None:
    response = await (await make_key("projects:read")).client.get("/v1/admin/health")
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["version"] == VERSION
    assert body["checks"]["database"] == "ok"
    assert {"usage", "key_usage"} <= body["tasks"].keys()


async def test_scope_is_needed(make_key: MakeKey) -> None:
    assert (await (await make_key("memories:read")).client.get("/v1/admin/health")).status_code == 403

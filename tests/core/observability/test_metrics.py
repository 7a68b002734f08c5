from app.core.observability.active_users import ACTIVE_SECONDS, ActiveUsers
from app.core.resources import Resources
from app.main import create_app
from tests.conftest import KeyHolder, open_client


async def test_metrics_contain_figures_and_no_names(resources: Resources, key_holder: KeyHolder) -> None:
    async with open_client(create_app(resources), key_holder.key) as client:
        await client.get("/v1/profiles", params={"user_id": "sentinel-user"})
        page = (await client.get("/metrics")).text
    for name in (
        'keepsake_requests_total{method="GET",route="/v1/profiles",status="200"}',
        'keepsake_request_seconds_bucket{le="0.001",route="/v1/profiles"}',
        "keepsake_database_connections_in_use ",
        'keepsake_jobs_waiting{status="todo"}',
        "keepsake_active_users ",
    ):
        assert name in page, name
    assert "sentinel-user" not in page


def test_active_users_are_counted_once_and_expire() -> None:
    now = [0.0]
    active_users = ActiveUsers(clock=lambda: now[0])
    for name in ("ada", "bob", "ada"):
        active_users.record(name)
    assert active_users.count() == 2
    now[0] = ACTIVE_SECONDS + 1
    active_users.record("bob")
    assert active_users.count() == 1

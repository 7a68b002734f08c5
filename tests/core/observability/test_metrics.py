import httpx

from app.core.observability.active_users import LATELY_SECONDS, Presence


async def test_metrics_say_how_the_house_does_without_naming_anybody(client: httpx.AsyncClient) -> None:
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


def test_whoever_was_here_lately_counts_once_and_not_forever() -> None:
    now = [0.0]
    presence = Presence(clock=lambda: now[0])
    for name in ("ada", "bob", "ada"):
        presence.note(name)
    assert presence.count() == 2
    now[0] = LATELY_SECONDS + 1
    presence.note("bob")
    assert presence.count() == 1

import pytest_asyncio

from tests.conftest import SignedUp, SignUp


@pytest_asyncio.fixture
async def other(sign_up: SignUp) -> SignedUp:
    """An account that is no member of the projects of `owner`, unless a test adds it."""
    return await sign_up()


@pytest_asyncio.fixture
async def organization(owner: SignedUp) -> str:
    """The path of the owner's organization."""
    found = (await owner.client.get("/v1/organizations")).json()["results"]
    return f"/v1/organizations/{found[0]['id']}"


@pytest_asyncio.fixture
async def project(owner: SignedUp) -> str:
    """The path of the owner's project."""
    return f"/v1/projects/{owner.project_id}"

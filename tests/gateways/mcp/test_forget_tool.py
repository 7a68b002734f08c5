import pytest
from mcp.client.session import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult

from app.core.resources import Resources
from app.gateways.mcp.confirmation import Confirmations, DeletionStatement
from tests.conftest import KeyHolder, MakeKey
from tests.gateways.mcp.conftest import ERAS, ConnectMcp, refusal, use

USER = {"X-Keepsake-User-Id": "ann"}
TEA = "that I like green tea"


class Person:
    """Answers the forms that the client shows."""

    def __init__(self, answer: ElicitResult) -> None:
        self.answer = answer
        self.shown: list[str] = []

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        self.shown.append(params.message)
        return self.answer


@pytest.mark.parametrize("era", ERAS)
async def test_forgetting_is_confirmed_in_a_form(connect_mcp: ConnectMcp, key_holder: KeyHolder, era: str) -> None:
    refusing = Person(ElicitResult(action="accept", content={"confirm": False}))
    leaving = Person(ElicitResult(action="decline"))
    confirming = Person(ElicitResult(action="accept", content={"confirm": True}))
    async with connect_mcp(key_holder.key, headers=USER) as client:
        await use(client, "add_memory", text="I like green tea", infer=False)
    for person in (refusing, leaving):
        async with connect_mcp(key_holder.key, era, person, headers=USER) as client:
            assert (await use(client, "forget", what=TEA))["status"] == "CANCELLED"
            assert (await use(client, "get_memories"))["count"] == 1
    async with connect_mcp(key_holder.key, era, confirming, headers=USER) as client:
        deleted = await use(client, "forget", what=TEA)
        assert (deleted["status"], len(deleted["deleted_ids"])) == ("DELETED", 1)
        assert (await use(client, "get_memories"))["count"] == 0
        assert (await use(client, "forget", what=TEA))["status"] == "NOTHING_TO_DELETE"
    assert [len(person.shown) for person in (refusing, leaving, confirming)] == [1, 1, 1]
    assert "I like green tea" in confirming.shown[0]


async def test_forgetting_is_confirmed_with_a_token_by_clients_without_forms(
    connect_mcp: ConnectMcp, key_holder: KeyHolder, make_key: MakeKey, resources: Resources
) -> None:
    async with connect_mcp(key_holder.key, "legacy", headers=USER) as client:
        await use(client, "add_memory", text="I like green tea", infer=False)
        asked = await use(client, "forget", what="everything")
        assert asked["status"] == "CONFIRMATION_REQUIRED"
        assert asked["count"] == 1
        token = asked["confirmation_token"]
        forged = Confirmations(b"another secret").sign(DeletionStatement(caller="x", namespace="y", all="everything"))
        for wrong in ("x", token[:-6] + "AAAA==", forged):
            refused = await refusal(client, "forget", what="everything", confirmation_token=wrong)
            assert refused["code"] == "confirmation_invalid"
        refused = await refusal(client, "forget", what="everything", confirmation_token=token, user_id="bob")
        assert refused["code"] == "confirmation_invalid", "the token of one profile deletes nothing in another"
        other = await make_key()
        async with connect_mcp(other.key, headers=USER) as stranger:
            refused = await refusal(stranger, "forget", what="everything", confirmation_token=token)
            assert refused["code"] == "confirmation_invalid", "nobody else can confirm"
        assert (await use(client, "get_memories"))["count"] == 1
        deleted = await use(client, "forget", what="everything", confirmation_token=token)
        assert deleted["status"] == "DELETED"
        assert (await use(client, "get_memories"))["count"] == 0
        await use(client, "add_memory", text="I like coffee", infer=False)
        refused = await refusal(client, "forget", what="everything", confirmation_token=token)
        assert refused["code"] == "confirmation_invalid", "a second use would delete what was added since"
        assert (await use(client, "get_memories"))["count"] == 1


async def test_a_memory_that_changed_since_the_question_is_not_deleted(
    connect_mcp: ConnectMcp, key_holder: KeyHolder
) -> None:
    async with connect_mcp(key_holder.key, "legacy", headers=USER) as client:
        (added,) = (await use(client, "add_memory", text="I like green tea", infer=False))["results"]
        token = (await use(client, "forget", what=TEA))["confirmation_token"]
        await use(client, "update_memory", memory_id=added["id"], text="My blood type is AB")
        refused = await refusal(client, "forget", what=TEA, confirmation_token=token)
        assert (refused["code"], "was changed" in refused["detail"]) == ("confirmation_invalid", True)
        assert (await use(client, "get_memories"))["count"] == 1
        await use(client, "delete_memory", memory_id=added["id"])
        assert (await use(client, "forget", what=TEA, confirmation_token=token))["deleted_ids"] == []


async def test_an_exception_is_not_understood(connect_mcp: ConnectMcp, key_holder: KeyHolder) -> None:
    async with connect_mcp(key_holder.key, headers=USER) as client:
        assert "exceptions" in (await refusal(client, "forget", what="everything except my name"))["detail"]

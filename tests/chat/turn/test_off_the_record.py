"""A message that wishes not to be stored."""

from tests.chat.conftest import StartConversation
from tests.chat.conversation import AdminRows
from tests.model_server import ModelServer, Says


async def test_message_off_the_record_leaves_nothing(
    conversation: StartConversation, model_server: ModelServer, admin_rows: AdminRows
) -> None:
    session = await conversation()
    await session.send("I play the violin")
    model_server.chat(Says("Good luck with Quetzalcorp"))
    answer = await session.send("Off the record: I apply for a job at Quetzalcorp.")
    assert answer["message"]["content"].startswith("Good luck with Quetzalcorp")
    assert answer["message"]["content"].endswith("(As you wish, this message and the answer are not stored.)")
    assert (answer["privacy_mode"], answer["will_remember"], answer["event_id"]) == ("incognito", False, None)
    assert len(await session.list_messages()) == 2
    assert await admin_rows.tables_containing("Quetzalcorp") == []
    following = await session.send("I live in Rome")
    assert (following["privacy_mode"], following["will_remember"]) == ("normal", True)
    assert "Quetzalcorp" not in str(model_server.requests[-1])

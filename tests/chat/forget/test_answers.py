from app.chat.forget.answers import confirmation_of_all, confirmation_question, deletion_report
from app.core.text.forget_requests import Extent


def test_confirmation_lists_every_statement_once_and_says_what_stays() -> None:
    question = confirmation_question([["Lives in Paris", "I live in Paris"], ["Likes jazz"]], messages=2)
    assert "- Lives in Paris (and 1 more that says the same)\n- Likes jazz\n" in question
    assert "2 messages of your conversations contain this, too, and stay unless" in question
    assert "conversation" not in confirmation_question([["Likes jazz"]], messages=0)


def test_confirmation_of_everything_has_the_counts() -> None:
    question = confirmation_of_all(Extent.EVERYTHING, 1200, messages=1)
    assert "1200 memories" in question
    assert "1 message of your conversations contains this, too, and stays unless" in question


def test_report_counts_what_was_deleted_and_says_what_stays() -> None:
    assert "1 memory " in deletion_report(1)
    assert "3 memories permanently. The messages of your conversations stay" in deletion_report(3)
    assert "So were 2 messages" in deletion_report(3, 2, messages_asked=True)
    assert "already" in deletion_report(0)

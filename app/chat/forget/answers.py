"""The sentences that answer a request to forget."""

from collections.abc import Sequence

from app.core.text.forget_requests import Extent

NOTHING_FOUND = "No memory matches, so there is nothing to delete."
BY_WORDS = (
    "The embedding model is away, so memories were found by their words alone. Those that say it in other words are"
    " missing; ask again later to find them, too."
)
IN_INCOGNITO = (
    "Memories are neither read nor stored in incognito. Ask again in another privacy mode to see the memories that"
    " match."
)
WHOLE = {Extent.EVERYTHING: "everything that is remembered in this profile", Extent.TODAY: "everything of today"}
MAX_LISTED = 20


def confirmation_question(groups: Sequence[Sequence[str]], messages: int) -> str:
    """One line for each statement, however many memories repeat it."""
    lines = [f"- {group[0]}{_and_copies(len(group) - 1)}" for group in groups[:MAX_LISTED]]
    if len(groups) > MAX_LISTED:
        lines.append(f"- and {len(groups) - MAX_LISTED} more")
    listed = "\n".join(lines)
    return f"These memories match:\n{listed}\n{_transcript(messages)}Please confirm which of them to delete."


def confirmation_of_all(extent: Extent, count: int, messages: int) -> str:
    return (
        f"You ask to delete {WHOLE[extent]}: {_count(count, 'memory', 'memories')}. {_transcript(messages)}This"
        " cannot be undone. Please confirm it explicitly."
    )


def deletion_report(count: int, messages: int = 0, *, messages_asked: bool = False) -> str:
    if count == 0 and messages == 0:
        return "That memory was already deleted."
    report = f"Deleted {_count(count, 'memory', 'memories')} permanently."
    if messages_asked:
        return f"{report} So were {_count(messages, 'message', 'messages')} of your conversations that contained them."
    return f"{report} The messages of your conversations stay until you delete them."


def _and_copies(copies: int) -> str:
    return f" (and {copies} more that say{'s' if copies == 1 else ''} the same)" if copies else ""


def _transcript(messages: int) -> str:
    if not messages:
        return ""
    contain, stay = ("contains", "stays") if messages == 1 else ("contain", "stay")
    return (
        f"{_count(messages, 'message', 'messages')} of your conversations {contain} this, too, and {stay} unless you"
        " ask to delete them with it. "
    )


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"

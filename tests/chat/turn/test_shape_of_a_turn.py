"""How many files of `app/chat` one turn passes, and how often a reader who follows it returns to a file.

Run with `-s` to print the path. A step is the first call of a function; comprehensions are part of their function. The
path is the sequence of files in the order of these steps, and a return is a step into a file that was left before.
"""

import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import pytest

from app.chat import routes
from app.core.resources import Resources
from app.memory.ledger import NewMemory
from app.memory.namespace import Namespace
from app.memory.remember import remember
from tests.chat.conftest import StartConversation

CHAT = Path(routes.__file__).parent
MAX_FILES = 9
MAX_RETURNS = 6


@dataclass
class TurnPath:
    functions: list[tuple[str, str]] = field(default_factory=list)

    @property
    def files(self) -> list[str]:
        """The file of each step, without the steps that stay in it."""
        files = [file for file, _ in self.functions]
        return [file for place, file in enumerate(files) if place == 0 or file != files[place - 1]]

    @property
    def returns(self) -> int:
        return len(self.files) - len(set(self.files))

    def note(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(str(CHAT)) and not code.co_name.startswith("<"):
            function = (Path(code.co_filename).relative_to(CHAT).as_posix(), code.co_qualname)
            if function not in self.functions:
                self.functions.append(function)


@contextmanager
def traced() -> Iterator[TurnPath]:
    path = TurnPath()
    sys.setprofile(path.note)
    try:
        yield path
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("idempotency_key", [None, "once"], ids=["without a key", "with a key"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_turn_passes_few_files_and_returns_to_few(
    streamed: bool, idempotency_key: str | None, conversation: StartConversation, chat_resources: Resources
) -> None:
    session = await conversation()
    namespace = Namespace(session.project_id, session.user_id, uuid.UUID(session.profile_id))
    await remember(chat_resources, namespace, [NewMemory("My sister Ines lives in Lisbon")])
    await session.send("Hello")
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
    with traced() as path:
        response = await session.post("Where does my sister Ines live?", headers, stream=streamed)
    assert "Lisbon" in response.text, "the turn recalls a memory"
    report = "\n".join(
        [*map(str, path.functions), f"{len(set(path.files))} files, {path.returns} returns: {path.files}"]
    )
    print(report)  # noqa: T201
    assert len(set(path.files)) <= MAX_FILES, report
    assert path.returns <= MAX_RETURNS, report

"""What an extractor is told to look for: the call's own words before the project's, for each speaker."""

from collections.abc import Mapping
from dataclasses import dataclass

KEEP_LANGUAGE = "Write each memory in the language in which it was said, whatever language that is."


@dataclass(frozen=True, slots=True)
class Called:
    """What the call itself said. None leaves it to the project; an empty text means none at all."""

    own: str | None = None
    agents: str | None = None
    includes: str | None = None
    excludes: str | None = None

    def as_request(self) -> dict[str, str]:
        """As it is kept beside the messages until they are read."""
        said = {"own": self.own, "agents": self.agents, "includes": self.includes, "excludes": self.excludes}
        return {name: words for name, words in said.items() if words is not None}


def read_called(kept: object) -> Called:
    if isinstance(kept, Mapping):
        return Called(*(kept.get(name) for name in ("own", "agents", "includes", "excludes")))
    return Called(own=kept) if isinstance(kept, str) else Called()


def resolve(called: Called, settings: Mapping[str, object], *, user_id: str | None, agent_id: str | None) -> str | None:
    """A user goes by `custom_instructions`, an agent alone by its own or else by those; both each by its own."""
    own = first(called.own, settings.get("custom_instructions"))
    agents = first(called.agents, settings.get("agent_custom_instructions")) if agent_id else ""
    if agent_id and user_id is None:
        own, agents = agents or own, ""
    parts = [
        f"For what the user says: {own}" if own and agents else own,
        f"For what the assistant says: {agents}" if agents else "",
        KEEP_LANGUAGE if settings.get("multilingual") else "",
        f"Remember only: {called.includes}" if called.includes else "",
        f"Do not remember: {called.excludes}" if called.excludes else "",
    ]
    return "\n".join(part for part in parts if part) or None


def first(call: str | None, project: object) -> str:
    return call if call is not None else str(project or "")

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Origin:
    """The user, agent, app and run that a memory is attributed to: at least one of them."""

    user_id: str | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None


ENTITY_FIELDS = tuple(field.name for field in fields(Origin))

"""The arguments of the tools. Those of mem0's tools have mem0's names; the others are additions of this server."""

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from app.core.storable_text import no_nul
from app.gateways.mem0.memories.message_schemas import MAX_MESSAGES, MessageText, Metadata
from app.gateways.mem0.memories.schemas import EntityId, ProfileSelection, number_as_text
from app.profiles.schemas import Description, Name, Persona
from app.sessions.privacy import PrivacyMode
from app.sessions.schemas import Title

JsonSchema = dict[str, Any]
EntityPattern = Annotated[
    str,
    BeforeValidator(number_as_text),
    StringConstraints(min_length=1, max_length=500),
    AfterValidator(no_nul),
]
"""`*` in a search, a list or a deletion means any."""
Query = Annotated[MessageText, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]
FiltersArgument = Annotated[
    Any, Field(description='mem0\'s filters, such as {"user_id": "alice"} or {"AND": [{"user_id": "alice"}, …]}.')
]
PageNumber = Annotated[int, Field(ge=1, le=100_000, description="The number of the page, from 1.")]
PageSize = Annotated[int, Field(ge=1, le=200, description="Results on one page.")]
MemoryId = Annotated[str, Field(description="The id of a memory, from a search or a list.")]
UserArgument = Annotated[
    EntityId | None,
    Field(description="The user to act for. Defaults to the user of this connection."),
]


class ToolArguments(BaseModel):
    """An unknown argument is refused: a misspelt `privacy_mode` must not store what should not be stored."""

    model_config = ConfigDict(extra="forbid")


class PrivateArguments(ToolArguments):
    session_id: UUID | None = Field(None, description="A session of start_session, whose privacy mode applies.")
    privacy_mode: PrivacyMode | None = Field(
        None,
        description="The privacy mode of this call. The strictest of this one, that of the session and that of the"
        " connection applies.",
    )


class EntityArguments(ToolArguments):
    user_id: EntityPattern | None = Field(None, description="The user that the memories are about.")
    agent_id: EntityPattern | None = Field(None, description="The agent that the memories belong to.")
    app_id: EntityPattern | None = Field(None, description="The application that the memories belong to.")
    run_id: EntityPattern | None = Field(None, description="The run or conversation that the memories belong to.")

    def named(self) -> dict[str, str]:
        ids = {"user_id": self.user_id, "agent_id": self.agent_id, "app_id": self.app_id, "run_id": self.run_id}
        return {field: value for field, value in ids.items() if value is not None}


class GraphArgument(ToolArguments):
    enable_graph: bool | None = Field(None, description="Accepted without effect: memories have no graph here.")


class ConversationMessage(ToolArguments):
    role: Literal["user", "assistant", "system"] = "user"
    content: MessageText


class AddMemoryArguments(EntityArguments, PrivateArguments, GraphArgument):
    text: MessageText | None = Field(None, description="What to remember, in plain sentences.")
    messages: list[ConversationMessage] | None = Field(
        None, min_length=1, max_length=MAX_MESSAGES, description="A conversation. It takes precedence over `text`."
    )
    metadata: Metadata | None = Field(None, description="Values to store with each memory.")
    infer: bool = Field(
        True, description="true extracts facts in the background; false stores the text verbatim, at once."
    )
    filters: FiltersArgument = None
    profile_id: UUID | None = Field(None, description="The profile to write to. Defaults to the default profile.")
    standing: bool | None = Field(
        None, description="With `infer: false`: whether the memory is part of every prompt of its profile."
    )
    expiration_date: dt.date | None = Field(None, description="The last day, in UTC, on which the memory is returned.")


class SearchMemoriesArguments(EntityArguments, PrivateArguments, GraphArgument):
    query: Query = Field(description="What to look for, in plain words.")
    filters: FiltersArgument = None
    limit: int | None = Field(None, ge=1, le=1000, description="The maximum number of results. Defaults to 10.")
    top_k: int | None = Field(None, ge=1, le=1000, description="Another name of `limit`.")
    threshold: float | None = Field(None, ge=0, le=1, description="By default, only what fits the query is returned.")
    profile_id: ProfileSelection = None
    include_standing: bool = Field(False, description="Return the standing memories as `standing`, besides.")


class GetMemoriesArguments(EntityArguments, PrivateArguments, GraphArgument):
    filters: FiltersArgument = None
    page: PageNumber = 1
    page_size: PageSize = 50
    profile_id: ProfileSelection = None


class GetMemoryArguments(PrivateArguments):
    memory_id: MemoryId


class UpdateMemoryArguments(PrivateArguments):
    memory_id: MemoryId
    text: MessageText | None = Field(None, description="The new text.")
    metadata: Metadata | None = Field(None, description="Replaces the metadata.")


class DeleteMemoryArguments(ToolArguments):
    memory_id: MemoryId


class DeleteAllMemoriesArguments(EntityArguments):
    filters: FiltersArgument = None
    metadata: Metadata | None = None
    profile_id: ProfileSelection = None


class DeleteEntitiesArguments(EntityArguments):
    pass


class ListEntitiesArguments(ToolArguments):
    page: PageNumber = 1
    page_size: PageSize = 100


class ListEventsArguments(ToolArguments):
    event_type: str | None = Field(
        None, pattern=r"^[A-Za-z_]{1,30}$", description="ADD, UPDATE, DELETE, DELETE_ALL or DELETE_USER."
    )
    status: str | None = Field(None, pattern=r"^[A-Za-z_]{1,30}$", description="PENDING, RUNNING, SUCCEEDED or FAILED.")
    start_date: str | None = Field(None, max_length=40, description="Created on this day or later.")
    end_date: str | None = Field(None, max_length=40, description="Created on this day or earlier.")
    page: PageNumber = 1
    page_size: Annotated[int, Field(ge=1, le=100)] = 50


class GetEventStatusArguments(ToolArguments):
    event_id: str = Field(description="The id of an event, from add_memory or list_events.")


class ListProfilesArguments(ToolArguments):
    user_id: UserArgument = None
    limit: PageSize = 50
    cursor: str | None = Field(None, max_length=200, description="`next` of the previous page.")


class CreateProfileArguments(ToolArguments):
    name: Name
    description: Description | None = None
    persona: Persona | None = Field(None, description="A system prompt that describes the assistant.")
    is_default: bool = False
    user_id: UserArgument = None


class UpdateProfileArguments(ToolArguments):
    profile_id: UUID
    name: Name | None = None
    description: Description | None = None
    persona: Persona | None = None


class SetDefaultProfileArguments(ToolArguments):
    profile_id: UUID


class StartSessionArguments(ToolArguments):
    privacy_mode: PrivacyMode = PrivacyMode.NORMAL
    profile_id: UUID | None = Field(None, description="Defaults to the user's default profile.")
    title: Title | None = None
    user_id: UserArgument = None


class GetPrivacyModeArguments(ToolArguments):
    session_id: UUID


class SetPrivacyModeArguments(ToolArguments):
    session_id: UUID
    privacy_mode: PrivacyMode


class ForgetArguments(PrivateArguments):
    what: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)] = Field(
        description="What to forget, such as `that I like tea`, `everything about my job` or `everything`."
    )
    user_id: UserArgument = None
    profile_id: UUID | None = Field(None, description="Defaults to the user's default profile.")
    delete_messages: bool = Field(
        False, description="Delete the messages of conversations that contain it, too. Sent with the confirmation."
    )
    confirmation_token: str | None = Field(
        None,
        max_length=8000,
        description="From the answer to the first call. Send it only after the person has confirmed the deletion.",
    )


class ArgumentSchema(GenerateJsonSchema):
    """Without null and titles, which models read and do not need: an optional argument can be left out."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        if described.get("default") is None:
            described.pop("default", None)
        return described

    def field_title_should_be_set(self, _: Any) -> bool:
        return False


def argument_schema(model: type[ToolArguments]) -> JsonSchema:
    schema = model.model_json_schema(schema_generator=ArgumentSchema)
    schema.pop("title", None)
    schema.pop("description", None)
    return schema

"""What a tool is: its arguments, the scope that it needs, what it may change, and the function that carries it out."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from fastapi.security import SecurityScopes
from pydantic import ValidationError

from app.core.errors import Unprocessable
from app.core.http.error_responses import describe_invalid_value
from app.core.http.strict_requests import UNKNOWN
from app.core.text.nearest_name import nearest_name
from app.gateways.mcp.arguments import JsonSchema, ToolArguments, argument_schema
from app.gateways.mcp.call import ToolCall
from app.gateways.mem0.responses import JsonObject
from app.identity.caller import check_scopes
from app.identity.scopes import Scope

A = TypeVar("A", bound=ToolArguments)
PRINTABLE = 60


@dataclass(frozen=True, slots=True)
class NeedsConfirmation:
    """A person has to confirm. `token` says what was shown, and carries it out when it comes back."""

    message: str
    token: str
    details: JsonObject


ToolResult = JsonObject | bytes | NeedsConfirmation
"""Bytes are a JSON object that is serialized already."""


@dataclass(frozen=True)
class Tool(Generic[A]):
    name: str
    title: str
    description: str
    arguments: type[A]
    scope: Scope
    carry_out: Callable[[ToolCall, A], Awaitable[ToolResult]]
    destructive: bool = False
    """Whether it deletes or replaces something."""
    idempotent: bool = False

    @property
    def reads_only(self) -> bool:
        return self.scope.endswith(":read")

    @cached_property
    def schema(self) -> JsonSchema:
        return argument_schema(self.arguments)

    async def call(self, call: ToolCall, given: Mapping[str, object]) -> ToolResult:
        check_scopes(call.caller, SecurityScopes([self.scope]))
        if not self.reads_only and not self.destructive:
            # Deletions are small, and people may need them to make room.
            call.resources.disk_space.require()
        try:
            return await self.carry_out(call, self.arguments.model_validate(given))
        except ValidationError as error:
            raise Unprocessable(self._describe(error), code="invalid_request") from None

    def _describe(self, error: ValidationError) -> str:
        """One sentence about an unknown argument, or about the first error. It does not repeat the value."""
        errors = error.errors(include_url=False)
        unknown = next((each["loc"][-1] for each in errors if each["type"] == UNKNOWN), None)
        if unknown is None:
            return describe_invalid_value({**errors[0], "loc": ("body", *errors[0]["loc"])})
        name = "".join(letter if letter.isprintable() else "?" for letter in str(unknown)[:PRINTABLE])
        known = self.arguments.model_fields
        nearest = nearest_name(name, known)
        hint = f"Did you mean `{nearest}`?" if nearest else f"Known: {', '.join(f'`{each}`' for each in known)}."
        return f"{self.name} has no argument `{name}`. {hint}"


AnyTool = Tool[Any]

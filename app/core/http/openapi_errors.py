"""What the OpenAPI document says of failures: the one shape they all have, wherever each can happen."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field

MEANINGS = {
    "401": "No credential, or one that is not valid",
    "403": "The credential does not reach this far",
    "404": "There is no such thing for this caller",
    "413": "The body is larger than MAX_BODY_BYTES",
    "422": "Something in the request cannot be used: `detail` says what",
    "429": "Too often: wait for `Retry-After` seconds",
}
KEY_HEADER, PROJECT_HEADER = "X-API-Key", "X-Project-Id"
BY_KEY = {"type": "apiKey", "in": "header", "name": KEY_HEADER, "description": "An API key"}
PROJECT = {
    "name": PROJECT_HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "format": "uuid"},
    "description": "Which of your projects; else your first",
}


class Problem(BaseModel):
    detail: str = Field(description="One sentence: what is wrong and what to change")
    code: str = Field(description="One word for programs")
    request_id: str | None = Field(description="What to tell the operator")


def document_problems(app: FastAPI) -> None:
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            describe(plain())
        return plain()

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend its document


def describe(document: dict[str, Any]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema()
    document["components"].setdefault("securitySchemes", {})["APIKeyHeader"] = BY_KEY
    for path, methods in document["paths"].items():
        for operation in methods.values():
            describe_credentials(operation)
            for status in possible(path, operation):
                operation["responses"][status] = problem(status)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)


def describe_credentials(operation: dict[str, Any]) -> None:
    """What every protected route takes besides the bearer token that FastAPI knows of."""
    if operation.get("security"):
        operation["security"].append({"APIKeyHeader": []})
        operation.setdefault("parameters", []).append(PROJECT)


def possible(path: str, operation: dict[str, Any]) -> set[str]:
    found = {"422"} if "422" in operation["responses"] else set()
    if operation.get("security"):
        found |= {"401", "403", "429"}
    if path.startswith("/v1/auth/"):
        found |= {"429"}
    if "{" in path:
        found |= {"404"}
    return found | ({"413"} if "requestBody" in operation else set())


def problem(status: str) -> dict[str, Any]:
    shape = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {"description": MEANINGS[status], "content": {"application/json": shape}}

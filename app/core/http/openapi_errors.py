"""Describes error responses and credentials in the OpenAPI document."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field

DESCRIPTIONS = {
    "401": "The credential is missing or invalid.",
    "403": "This credential lacks the required scope.",
    "404": "The caller has no object with this id.",
    "413": "The request body is larger than `MAX_BODY_BYTES`, or has more than 10,000 JSON values.",
    "422": "The request is invalid. `detail` says what to change.",
    "429": "Rate limit exceeded. Retry after the number of seconds in `Retry-After`.",
}
KEY_HEADER, PROJECT_HEADER = "X-API-Key", "X-Project-Id"
API_KEY_SCHEME = {"type": "apiKey", "in": "header", "name": KEY_HEADER, "description": "An API key."}
PROJECT_PARAMETER = {
    "name": PROJECT_HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "format": "uuid"},
    "description": "The project to act in. Defaults to your first project.",
}


class Problem(BaseModel):
    detail: str = Field(description="What is wrong and what to change.")
    code: str = Field(description="A stable error code for programs.")
    request_id: str | None = Field(
        description="The id to give to the operator. It is also in the header `X-Request-ID`."
    )


def document_errors(app: FastAPI) -> None:
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            describe_errors(generate())
        return generate()

    app.openapi = openapi  # type: ignore[method-assign]  # the documented way to extend it


def describe_errors(document: dict[str, Any]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema()
    document["components"].setdefault("securitySchemes", {})["APIKeyHeader"] = API_KEY_SCHEME
    for path, methods in document["paths"].items():
        for operation in methods.values():
            describe_credentials(operation)
            for status in possible_errors(path, operation):
                operation["responses"][status] = problem_response(status)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)


def describe_credentials(operation: dict[str, Any]) -> None:
    """Adds the API key and the project header. FastAPI itself documents only the bearer token."""
    if operation.get("security"):
        operation["security"].append({"APIKeyHeader": []})
        operation.setdefault("parameters", []).append(PROJECT_PARAMETER)


def possible_errors(path: str, operation: dict[str, Any]) -> set[str]:
    found = {"422"} if "422" in operation["responses"] else set()
    if operation.get("security"):
        found |= {"401", "403", "429"}
    if path.startswith("/v1/auth/"):
        found |= {"429"}
    if "{" in path:
        found |= {"404"}
    return found | ({"413"} if "requestBody" in operation else set())


def problem_response(status: str) -> dict[str, Any]:
    shape = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {"description": DESCRIPTIONS[status], "content": {"application/json": shape}}

"""GraphQL's errors: a `message`, and in `extensions` our code, the status and the id of the request."""

from typing import Any

from app.core.errors import AppError, BadRequest
from app.core.observability.logging import request_id

GRAPHQL_PATHS = ("/graphql/",)


class InvalidQuery(BadRequest):
    """Not GraphQL, or nothing that the schema has."""

    code = "invalid_query"


class QueryTooCostly(BadRequest):
    code = "query_too_costly"


def graphql_error(status: int, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """An error before anything was carried out has its status, as on every other route."""
    extensions = {"status": status, **{name: value for name, value in body.items() if name != "detail"}}
    return status, {"errors": [{"message": body["detail"], "extensions": extensions}]}


def describe_error(error: AppError) -> dict[str, Any]:
    extensions = {"code": error.reason, "status": error.status, "request_id": request_id.get(), **error.fields}
    if wait := error.headers.get("Retry-After"):
        extensions["retry_after"] = int(wait)
    return {"message": error.detail, "extensions": extensions}

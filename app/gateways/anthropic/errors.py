"""Anthropic's errors: the clients choose the exception by the status, and read `error.type`."""

from typing import Any

ANTHROPIC_PATHS = ("/v1/memory_stores/",)
TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
TYPE_OF_CODE = {"path_taken": "memory_path_conflict_error", "precondition_failed": "memory_precondition_failed_error"}


def anthropic_error(status: int, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Anthropic answers 400 where FastAPI would answer 422."""
    status = 400 if status == 422 else status
    kind = TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    error = {"type": TYPE_OF_CODE.get(body["code"], kind), "message": body["detail"], "code": body["code"]}
    return status, {"type": "error", "error": error, "request_id": body["request_id"]}

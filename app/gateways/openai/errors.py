"""OpenAI's errors: the clients choose the exception by the status and read `error`."""

import re
from typing import Any

OPENAI_PATHS = ("/v1/chat/completions/", "/v1/models/", "/v1/embeddings/", "/v1/responses/", "/v1/conversations/")
TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
STATUS_OF_CODE = {"model_not_allowed": 404}
NAMED = re.compile(r"`([\w.\[\]-]+)`")
"""Our sentences about a parameter begin with its name."""


def openai_error(status: int, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """OpenAI answers 400 where FastAPI would answer 422, and 404 for a model that cannot be used."""
    status = STATUS_OF_CODE.get(body["code"], 400 if status == 422 else status)
    return status, {"error": describe_error(status, body)}


def describe_error(status: int, body: dict[str, Any]) -> dict[str, Any]:
    named = NAMED.match(body["detail"])
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {
        "message": body["detail"],
        "type": "insufficient_quota" if body["code"] == "token_budget_used" else kind,
        "param": body.get("param") or (named[1] if named else None),
        "code": body["code"],
        "request_id": body["request_id"],
    }

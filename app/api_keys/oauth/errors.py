"""Errors of OAuth's own endpoints, in the form of RFC 6749."""

from fastapi.responses import JSONResponse

from app.core.observability.logging import request_id


class OAuthError(Exception):
    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description

    def response(self) -> JSONResponse:
        body = {"error": self.error, "error_description": self.description, "request_id": request_id.get()}
        status = 401 if self.error == "invalid_client" else 400
        return JSONResponse(body, status)

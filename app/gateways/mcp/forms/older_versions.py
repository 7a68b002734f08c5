"""Forms (elicitation) for clients of protocol versions before 2026-07-28.

In the newest version, a tool asks by its answer, and the client calls it again with what the person said. Older clients
are asked by a request of the server in the meantime. So their call is made in the newest version for them.
"""

import base64
import re
from collections.abc import Mapping
from typing import Any

from app.gateways.mem0.responses import JsonObject

NEWEST = "2026-07-28"
FORMS_SINCE = "2025-06-18"
META = "io.modelcontextprotocol/"
VERSION_KEY = f"{META}protocolVersion"
NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
PLAIN = re.compile(r"(?! )[\x20-\x7E]*(?<! )")
NOT_ANSWERED: JsonObject = {"action": "cancel"}
ACTIONS = ("accept", "decline", "cancel")


def shows_forms(initialize: Any, agreed_version: object) -> bool:
    """Whether the client of this handshake shows forms. A capability without a mode means them."""
    params = initialize.get("params") if isinstance(initialize, dict) else None
    capabilities = params.get("capabilities") if isinstance(params, dict) else None
    elicitation = capabilities.get("elicitation") if isinstance(capabilities, dict) else None
    if not isinstance(elicitation, dict) or (elicitation and "form" not in elicitation):
        return False
    return isinstance(agreed_version, str) and FORMS_SINCE <= agreed_version < NEWEST


def may_ask(message: Any) -> bool:
    """Whether the answer to this message can be a form."""
    return (
        isinstance(message, dict)
        and message.get("method") == "tools/call"
        and message.get("id") is not None
        and isinstance(message.get("params"), dict)
        and isinstance(message["params"].get("_meta", {}), dict)
    )


def in_newest_version(message: JsonObject) -> JsonObject:
    params = message["params"]
    declared = {VERSION_KEY: NEWEST, f"{META}clientCapabilities": {"elicitation": {"form": {}}}}
    return {**message, "params": {**params, "_meta": {**params.get("_meta", {}), **declared}}}


def questions_of(answer: JsonObject) -> dict[str, JsonObject]:
    """The parameters of each form that the answer asks for, by its name."""
    result = answer.get("result")
    if not isinstance(result, dict) or result.get("resultType") != "input_required":
        return {}
    return {name: request["params"] for name, request in result["inputRequests"].items()}


def answered(asked: JsonObject, answer: JsonObject, responses: Mapping[str, JsonObject]) -> JsonObject:
    """The same call again, with what the person said."""
    said = {"inputResponses": dict(responses), "requestState": answer["result"].get("requestState")}
    return {**asked, "params": {**asked["params"], **said}}


def in_older_version(answer: JsonObject) -> JsonObject:
    result = answer.get("result")
    if not isinstance(result, dict):
        return answer
    return {**answer, "result": {name: value for name, value in result.items() if name not in ("resultType", "_meta")}}


def read_answer(message: JsonObject) -> JsonObject:
    """What the person said. Anything but an answer to the form means that they did not agree."""
    result = message.get("result")
    if not isinstance(result, dict) or result.get("action") not in ACTIONS:
        return NOT_ANSWERED
    content = result.get("content")
    ticked = (
        {name: value for name, value in content.items() if isinstance(value, bool)} if isinstance(content, dict) else {}
    )
    return {"action": result["action"], "content": ticked}


def headers_of(message: JsonObject, version: str) -> dict[str, str]:
    """What the transport over HTTP repeats of a message in the newest version."""
    method, params = str(message.get("method")), message.get("params")
    name = params.get(NAMED_BY.get(method, "")) if isinstance(params, Mapping) else None
    named = {"Mcp-Name": header_value(name)} if isinstance(name, str) else {}
    return {"MCP-Protocol-Version": header_value(version), "Mcp-Method": header_value(method), **named}


def header_value(text: str) -> str:
    return text if PLAIN.fullmatch(text) else f"=?base64?{base64.b64encode(text.encode(errors='replace')).decode()}?="

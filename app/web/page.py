"""The page for people, at `/`. It uses the public API only, and the browser loads nothing from another server."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel

from app.core.errors import NotFound

router = APIRouter(tags=["Health"])
FOLDER = Path(__file__).parent / "static" / "page"
# Only these are served: a path is looked up here and never becomes a path of the file system.
FILES = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*") if path.is_file()}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)


class Welcome(BaseModel):
    name: str = "Keepsake"
    what: str = "Memory for AI applications: it remembers what people tell their assistants, and knows when not to"
    docs: str = "/docs"
    sign_up: str = "POST /v1/auth/signup"
    health: str = "/v1/health"


@router.head("/", include_in_schema=False)
@router.get("/", responses={200: {"model": Welcome}}, response_class=JSONResponse)
async def get_welcome(accept: Annotated[str, Header(include_in_schema=False)] = "") -> Response:
    """Names the product and its first steps. A browser gets the page instead."""
    if "text/html" in accept:
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache", "Vary": "Accept"}
        return FileResponse(FILES["index.html"], headers=headers)
    return JSONResponse(Welcome().model_dump(), headers={"Vary": "Accept"})


@router.get("/page/{name:path}", include_in_schema=False)
async def get_page_file(name: str) -> FileResponse:
    """Browsers ask whether a file has changed, so a new version is shown at once."""
    if name not in FILES or name == "index.html":
        raise NotFound(f"The page has no file {name}")
    return FileResponse(FILES[name], headers={"Cache-Control": "no-cache"})

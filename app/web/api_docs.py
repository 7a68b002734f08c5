"""`/docs` (Swagger UI) and `/redoc`, served by the app itself: the browser loads nothing from another server."""

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter
from fastapi.responses import FileResponse

from app.core.errors import NotFound

router = APIRouter(include_in_schema=False)
PAGES = Path(__file__).parent / "static"
BUNDLES = Path(fastapi_offline.__file__).parent / "static"
ASSETS = {
    path.name: path
    for path in (
        PAGES / "start_swagger_ui.js",
        PAGES / "start_redoc.js",
        BUNDLES / "swagger-ui-bundle.js",
        BUNDLES / "swagger-ui.css",
        BUNDLES / "redoc.standalone.js",
        BUNDLES / "favicon.png",
    )
}
CACHE_CONTROL = "public, max-age=3600"
POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'; style-src 'self'"
)
SWAGGER_UI_POLICY = POLICY
# Redoc writes its styles into <style> elements and runs its search in a worker that it creates from a blob.
REDOC_POLICY = f"{POLICY} 'unsafe-inline'; worker-src blob:"


@router.get("/docs")
async def show_swagger_ui() -> FileResponse:
    return html_page("swagger_ui.html", SWAGGER_UI_POLICY)


@router.get("/redoc")
async def show_redoc() -> FileResponse:
    return html_page("redoc.html", REDOC_POLICY)


@router.get("/docs/assets/{name}")
async def get_asset(name: str) -> FileResponse:
    if name not in ASSETS:
        raise NotFound(f"The API reference has no file {name}")
    return FileResponse(ASSETS[name], headers={"Cache-Control": CACHE_CONTROL})


def html_page(name: str, policy: str) -> FileResponse:
    return FileResponse(PAGES / name, headers={"Content-Security-Policy": policy})

"""The provider as an app of its own: in process for us, mounted at /auth/v1 for everybody else."""

from fastapi import FastAPI

from app.identity.local import admin_routes, routes
from app.identity.local.errors import install_handlers
from app.identity.local.provider import LocalIdentity


def create_identity_app(house: LocalIdentity) -> FastAPI:
    app = FastAPI(title="Keepsake identity", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.house = house
    app.include_router(routes.router)
    app.include_router(admin_routes.router)
    install_handlers(app)
    return app

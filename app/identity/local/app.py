"""The identity provider as an app: called in process by the server, mounted at /auth/v1 for other clients."""

from fastapi import FastAPI

from app.identity.local import factor_routes, routes, switched_off
from app.identity.local.admin import routes as admin_routes
from app.identity.local.errors import install_handlers
from app.identity.local.provider import IdentityProvider


def create_identity_app(provider: IdentityProvider) -> FastAPI:
    app = FastAPI(title="Keepsake identity", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.provider = provider
    app.include_router(routes.router)
    app.include_router(factor_routes.router)
    app.include_router(admin_routes.router)
    app.include_router(switched_off.router)
    install_handlers(app)
    return app

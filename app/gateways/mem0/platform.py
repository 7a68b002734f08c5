"""The routes of mem0's Platform API that are not about single memories."""

from fastapi import APIRouter

from app.gateways.mem0.exports import router as exports
from app.gateways.mem0.organizations.project_routes import router as projects
from app.gateways.mem0.organizations.routes import router as organizations
from app.gateways.mem0.user_profiles import router as user_profiles
from app.gateways.mem0.webhooks.routes import router as webhooks

router = APIRouter()
for each in (organizations, projects, webhooks, exports, user_profiles):
    router.include_router(each)

"""Profiles. Each field calls the function of its own route."""

from typing import Annotated, Any
from uuid import UUID

import strawberry
from pydantic import BaseModel

from app.core.database.pagination import Cursor, Limit
from app.gateways.graphql.call import render
from app.gateways.graphql.memory_fields import Info
from app.gateways.graphql.types import field_of, input_type, object_type, output_type, page_type, read_input
from app.gateways.mem0.responses import JsonObject
from app.identity.scopes import Scope
from app.portability.profile_routes import delete_profile as delete_profile_data
from app.profiles import routes
from app.profiles.schemas import ProfileCreate, ProfilePatch, ProfileRead, UserId


class OwnedPage(BaseModel):
    user_id: UserId | None = None
    limit: Limit = 50
    cursor: Cursor = None


Profile = output_type(ProfileRead, "Profile")
Done = object_type("Done", {"message": str})
CreateInput = Annotated[Any, strawberry.argument(graphql_type=input_type(ProfileCreate, "CreateProfileInput"))]
ChangeInput = Annotated[Any, strawberry.argument(graphql_type=input_type(ProfilePatch, "UpdateProfileInput"))]


@field_of(
    page_type("ProfilePage", Profile),
    "The profiles of a user, newest first. An API key names the user.",
)
async def profiles(info: Info, user_id: str | None = None, limit: int = 50, cursor: str | None = None) -> JsonObject:
    given = read_input(OwnedPage, None, user_id=user_id, limit=limit, cursor=cursor)
    async with info.context.transaction(Scope.PROFILES_READ) as tx:
        page = await routes.list_profiles(info.context.caller, tx, given.user_id, given.limit, given.cursor)
        return {"results": [render(ProfileRead, row) for row in page.results], "next": page.next}


@field_of(Profile, "One profile.")
async def profile(info: Info, id: UUID) -> JsonObject:
    async with info.context.transaction(Scope.PROFILES_READ) as tx:
        return render(ProfileRead, await routes.get_profile(id, info.context.caller, tx))


@field_of(Profile, "Creates a profile. The first one of a user becomes the default.")
async def create_profile(info: Info, input: CreateInput) -> JsonObject:
    body = read_input(ProfileCreate, input)
    async with info.context.transaction(Scope.PROFILES_WRITE) as tx:
        return render(ProfileRead, await routes.create_profile(body, info.context.caller, tx))


@field_of(Profile, "Changes the name, the description or the persona.")
async def update_profile(info: Info, id: UUID, input: ChangeInput) -> JsonObject:
    body = read_input(ProfilePatch, input)
    async with info.context.transaction(Scope.PROFILES_WRITE) as tx:
        return render(ProfileRead, await routes.change_profile(id, body, info.context.caller, tx))


@field_of(Profile, "Makes a profile the default of its user.")
async def set_default_profile(info: Info, id: UUID) -> JsonObject:
    async with info.context.transaction(Scope.PROFILES_WRITE) as tx:
        return render(ProfileRead, await routes.make_default(id, info.context.caller, tx))


@field_of(Done, "Deletes a profile with its memories and sessions.")
async def delete_profile(info: Info, id: UUID) -> JsonObject:
    async with info.context.allowed(Scope.PROFILES_WRITE, deletes=True):
        return (await delete_profile_data(id, info.context.caller, info.context.resources)).model_dump()


PROFILE_QUERIES = (profiles, profile)
PROFILE_MUTATIONS = (create_profile, update_profile, set_default_profile, delete_profile)

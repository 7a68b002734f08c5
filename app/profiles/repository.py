from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.core.database.repository import Repository
from app.core.errors import Conflict
from app.profiles.models import Profile

DEFAULT_NAME = "Default"
# One writer at a time for the profiles of a user, because exactly one of them is the default.
LOCK_PROFILES_OF_USER_SQL = text("select pg_advisory_xact_lock(hashtextextended(:owner, 1))")


class ProfileRepository(Repository[Profile]):
    model = Profile
    noun = "profile"
    taken = "A profile with this name already exists. Choose another `name`."

    async def default_of(self, user_id: str) -> Profile:
        """The user's default profile, created on first use."""
        query = self.rows.where(Profile.user_id == user_id, Profile.is_default)
        found: Profile | None = await self.tx.scalar(query)
        if found is None:
            await self._make_default(user_id)
            found = await self.tx.scalar(query)
        assert found is not None
        return found

    async def of_user(self, user_id: str, profile_id: UUID | None) -> Profile:
        """The named profile, if it belongs to this user, or else the user's default profile."""
        if profile_id is None:
            return await self.default_of(user_id)
        return await ProfileRepository(self.tx, self.project_id, user_id).get(profile_id)

    async def create(self, user_id: str, *, is_default: bool, **values: object) -> Profile:
        """A user's first profile becomes the default even if `is_default` is false: exactly one always is."""
        await self._lock(user_id)
        first = await self._count(user_id) == 0
        if is_default:
            await self._clear_default(user_id)
        return await self.add(user_id=user_id, is_default=is_default or first, **values)

    async def make_default(self, profile_id: UUID) -> Profile:
        profile = await self._get_locked(profile_id)
        await self._clear_default(profile.user_id)
        return await self.update(profile_id, is_default=True)

    async def remove(self, profile_id: UUID) -> None:
        """Delete a profile with its memories and sessions. The oldest of the others replaces a default."""
        profile = await self._get_locked(profile_id)
        if await self._count(profile.user_id) < 2:
            raise Conflict("This is the user's last profile. Create another one before you delete it.")
        was_default = profile.is_default
        await self.delete(profile_id)
        if was_default:
            others = self.rows.where(Profile.user_id == profile.user_id).order_by(Profile.created_at, Profile.id)
            oldest: Profile | None = await self.tx.scalar(others.limit(1))
            assert oldest is not None
            oldest.is_default = True
            await self.flush()

    async def _get_locked(self, profile_id: UUID) -> Profile:
        """The profile, read again once other writers are locked out: it may have changed while this one waited."""
        profile = await self.get(profile_id)
        await self._lock(profile.user_id)
        self.tx.expire(profile)
        return await self.get(profile_id)

    async def _lock(self, user_id: str) -> None:
        await self.tx.execute(LOCK_PROFILES_OF_USER_SQL, {"owner": f"{self.project_id}:{user_id}"})

    async def _count(self, user_id: str) -> int:
        query = select(func.count()).select_from(Profile).where(*self.mine(), Profile.user_id == user_id)
        return await self.tx.scalar(query) or 0

    async def _clear_default(self, user_id: str) -> None:
        mine = update(Profile).where(*self.mine(), Profile.user_id == user_id, Profile.is_default)
        await self.tx.execute(mine.values(is_default=False), execution_options={"synchronize_session": False})
        self.tx.expire_all()

    async def _make_default(self, user_id: str) -> None:
        await self._lock(user_id)
        fresh = insert(Profile).values(project_id=self.project_id, user_id=user_id, name=DEFAULT_NAME, is_default=True)
        await self.tx.execute(fresh.on_conflict_do_nothing())

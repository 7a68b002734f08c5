from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.core.database.repository import Repository
from app.core.errors import Conflict
from app.profiles.models import Profile

DEFAULT_NAME = "Default"
# One writer at a time for each user's profiles: which one is the default is a fact about all of them.
LOCK_USER = text("select pg_advisory_xact_lock(hashtextextended(:whose, 1))")


class ProfileRepository(Repository[Profile]):
    model = Profile
    noun = "profile"
    taken = "There already is a profile of this name: choose another `name`"

    async def default_of(self, user_id: str) -> Profile:
        """The user's default profile, made when the user is seen for the first time."""
        query = self.rows.where(Profile.user_id == user_id, Profile.is_default)
        found: Profile | None = await self.tx.scalar(query)
        if found is None:
            await self._make_default(user_id)
            found = await self.tx.scalar(query)
        assert found is not None
        return found

    async def of_user(self, user_id: str, profile_id: UUID | None) -> Profile:
        """The profile named, if it is this user's, or the user's default."""
        if profile_id is None:
            return await self.default_of(user_id)
        return await ProfileRepository(self.tx, self.project_id, user_id).get(profile_id)

    async def create(self, user_id: str, *, is_default: bool, **values: object) -> Profile:
        """A user's first profile is the default, whatever was asked: there is always exactly one."""
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
        """With its memories and sessions. The last one cannot go; a default passes that on to the oldest left."""
        profile = await self._get_locked(profile_id)
        if await self._count(profile.user_id) < 2:
            raise Conflict("This is the user's last profile: make another one before you delete it")
        was_default = profile.is_default
        await self.delete(profile_id)
        if was_default:
            left = self.rows.where(Profile.user_id == profile.user_id).order_by(Profile.created_at, Profile.id)
            heir: Profile | None = await self.tx.scalar(left.limit(1))
            assert heir is not None
            heir.is_default = True
            await self.flush()

    async def _get_locked(self, profile_id: UUID) -> Profile:
        """As it is once nobody else changes the user's profiles, which may differ from what led here."""
        profile = await self.get(profile_id)
        await self._lock(profile.user_id)
        self.tx.expire(profile)
        return await self.get(profile_id)

    async def _lock(self, user_id: str) -> None:
        await self.tx.execute(LOCK_USER, {"whose": f"{self.project_id}:{user_id}"})

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

"""Remove the second factors of an account whose owner lost the device, for an operator."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.identity.local.storage.accounts import AccountRepository
from app.identity.local.storage.factors import FactorRepository
from app.identity.local.storage.sessions import AuthSessionRepository, RefreshSecret


async def remove_second_factors(tx: AsyncSession, secret: RefreshSecret, email: str) -> int | None:
    """Return the number of removed factors, or None if no account has the address.

    Where a factor is removed, sessions end too: the lost device may be signed in.
    """
    account = await AccountRepository(tx).by_email(email)
    if account is None:
        return None
    factors = FactorRepository(tx, account.id)
    count = len(await factors.all())
    if count:
        await factors.remove_all()
        await AuthSessionRepository(tx, secret).end(account.id, "global", None)
    return count

"""Accounts that were deleted at the identity provider: what belongs to them is found, reported and erased later."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy import text

from app.core.database.database import Database
from app.core.observability.metrics import DELETED_ACCOUNTS, OWNERLESS_ORGANIZATIONS
from app.projects.provisioning import erase_account_data

log = structlog.get_logger()

KEPT_DAYS = 14
"""Long enough to notice a mistake and to restore the accounts from a backup of Supabase."""
FIND_DELETED_ACCOUNTS_SQL = text("select private.find_deleted_accounts()")
SELECT_DUE_ACCOUNTS_SQL = text("select private.accounts_to_erase(make_interval(days => :days))")
DELETE_DUE_ORGANIZATIONS_SQL = text("""
delete from organizations where id in (select private.organizations_to_erase(make_interval(days => :days))) returning id
""")
DELETE_ENTRY_SQL = text("delete from private.deleted_accounts where account_id = :account")
COUNT_DELETED_SQL = text("""
select (select count(*) from private.deleted_accounts), (select count(*) from private.ownerless_organizations)
""")
SELECT_DELETED_SQL = text("""
select d.account_id, d.found_at,
  (select count(*) from organization_members m where m.account_id = d.account_id) as organizations
from private.deleted_accounts d order by d.found_at, d.account_id
""")
SELECT_OWNERLESS_SQL = text("""
select w.organization_id, w.found_at, o.personal
from private.ownerless_organizations w join organizations o on o.id = w.organization_id
order by w.found_at, w.organization_id
""")


@dataclass(frozen=True, slots=True)
class DeletedAccount:
    account_id: UUID
    found_at: dt.datetime
    organizations: int

    @property
    def erased_from(self) -> dt.datetime:
        return self.found_at + dt.timedelta(days=KEPT_DAYS)


@dataclass(frozen=True, slots=True)
class OwnerlessOrganization:
    organization_id: UUID
    found_at: dt.datetime
    personal: bool


@dataclass(frozen=True, slots=True)
class DeletedAccounts:
    accounts: Sequence[DeletedAccount]
    organizations: Sequence[OwnerlessOrganization]


async def erase_deleted_accounts(database: Database) -> None:
    """Find deleted accounts and organizations without an owner, and erase those that were found some time ago.

    Each account is erased in a transaction of its own, so that one that fails does not keep the others.
    """
    async with database.system() as tx:
        await tx.execute(FIND_DELETED_ACCOUNTS_SQL)
    async with database.system() as tx:
        due = list(await tx.scalars(SELECT_DUE_ACCOUNTS_SQL, {"days": KEPT_DAYS}))
    for account_id in due:
        await erase_account_data(database, account_id, is_deleted=True)
        async with database.system() as tx:
            await tx.execute(DELETE_ENTRY_SQL, {"account": account_id})
        log.info("accounts.erased", account_id=str(account_id))
    async with database.system() as tx:
        for organization_id in list(await tx.scalars(DELETE_DUE_ORGANIZATIONS_SQL, {"days": KEPT_DAYS})):
            log.info("accounts.organization_erased", organization_id=str(organization_id))
    await report_deleted_accounts(database)


async def report_deleted_accounts(database: Database) -> None:
    accounts, organizations = await count_deleted_accounts(database)
    if accounts or organizations:
        log.info("accounts.deleted", accounts=accounts, organizations=organizations)


async def count_deleted_accounts(database: Database) -> tuple[int, int]:
    """Sets the gauges to what the last run of the job found."""
    async with database.system() as tx:
        accounts, organizations = (await tx.execute(COUNT_DELETED_SQL)).one()
    DELETED_ACCOUNTS.set(accounts)
    OWNERLESS_ORGANIZATIONS.set(organizations)
    return accounts, organizations


async def list_deleted_accounts(database: Database) -> DeletedAccounts:
    """As the database is now: the last run of the job may be an hour ago."""
    async with database.system() as tx:
        await tx.execute(FIND_DELETED_ACCOUNTS_SQL)
        accounts = [DeletedAccount(*row) for row in await tx.execute(SELECT_DELETED_SQL)]
        organizations = [OwnerlessOrganization(*row) for row in await tx.execute(SELECT_OWNERLESS_SQL)]
    return DeletedAccounts(accounts, organizations)

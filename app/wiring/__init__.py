"""Builds Resources from Settings. The only package that chooses adapters and reads settings."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from app.adapters.in_process import InProcessCounters, InProcessShortTerm
from app.adapters.redis import RedisCounters, RedisShortTerm, connect_redis
from app.adapters.redis_fallback import CountersWithFallback, RedisBreaker, ShortTermWithFallback
from app.adapters.webhook_client import HttpWebhookClient
from app.admin.usage_writer import UsageWriter
from app.api_keys.lookup import StoredKeys
from app.core.background_tasks import SupervisedTask
from app.core.config import BODY_BYTES, Config
from app.core.database.database import Database
from app.core.database.disk_space import DiskSpace
from app.core.observability.usage_counts import UsageCounts
from app.core.ports import Counters, ShortTerm
from app.core.rate_limit import RateLimits, read_limit
from app.core.resources import IndexRepair, Resources
from app.erasure.account import erase_account
from app.identity.local.app import create_identity_app
from app.identity.tokens import Verifier
from app.projects.deleted_accounts import count_deleted_accounts
from app.settings import Settings, SignupMode, VectorStore
from app.wiring.accounts import (
    identity_http,
    instance_secret,
    oauth_issuer,
    open_identity_client,
    open_identity_health,
    open_invitation_mail,
    open_local_identity,
    pepper,
    provision_by_mode,
    token_issuers,
)
from app.wiring.models import (
    choose_vector_store,
    open_background,
    open_embedder,
    open_indexes,
    open_models,
)
from app.wiring.postgres import open_database
from app.wiring.secrets import has_model


@asynccontextmanager
async def open_resources(
    settings: Settings, *, alone: bool = False, rebuilding: bool = False
) -> AsyncIterator[Resources]:
    """Open all resources of a process and close them in reverse order.

    `alone` refuses a second server on DATA_DIR. `rebuilding` accepts an index that was built with another embedder.
    """
    async with AsyncExitStack() as stack:
        supervised_tasks: list[SupervisedTask] = []
        database = await open_database(settings, stack, alone=alone, supervised=supervised_tasks)
        counters, short_term = open_short_term(settings, stack)
        default = await open_embedder(settings, stack)
        llm, extractor, model_checks, gauges = open_models(settings, stack, default)
        indexes = await open_indexes(settings, stack, database, default, rebuilding=rebuilding)
        secret = instance_secret(settings)
        disk_space, index_repair = watch_disk(settings), IndexRepair()
        local = open_local_identity(settings, stack, database, short_term, secret)
        identity_app = create_identity_app(local) if local else None
        http = await stack.enter_async_context(identity_http(identity_app))
        keys, usage = start_keys(stack, database, secret), UsageCounts()
        supervised_tasks += [*indexes.tasks, keys.writer, start_usage_writer(stack, database, usage)]
        yield Resources(
            config=build_config(settings),
            database=database,
            tokens=Verifier(token_issuers(settings, local, http)),
            keys=keys,
            key_pepper=pepper(secret),
            identity=open_identity_client(settings, local, http, secret),
            identity_app=identity_app,
            provision_account=provision_by_mode(settings, database),
            erase_account=partial(erase_account, database, short_term),
            mail_invitation=open_invitation_mail(settings, local),
            limits=rate_limits(settings, counters),
            short_term=short_term,
            webhook_client=open_webhook_client(settings, stack),
            metrics_token=settings.metrics_token.get_secret_value() if settings.metrics_token else None,
            embedder=indexes.embedder,
            index=indexes.index,
            index_queue=indexes.queue,
            index_repair=index_repair,
            extractor=extractor,
            llm=llm,
            disk_space=disk_space,
            usage=usage,
            background=await open_background(stack),
            supervised_tasks=supervised_tasks,
            checks={
                "database": database.healthy,
                "index": indexes.index.healthy,
                "identity": open_identity_health(settings, local, http, secret).check,
                "short_term": short_term.healthy,
                "disk_space": disk_space.is_sufficient,
                "complete_index": index_repair.is_finished,
                **model_checks,
            },
            gauges=[*gauges, partial(count_deleted_accounts, database)],
            essential=frozenset({"database", "index"}),
        )


def start_keys(stack: AsyncExitStack, database: Database, secret: str) -> StoredKeys:
    keys = StoredKeys(database, pepper(secret))
    keys.start()
    stack.push_async_callback(keys.close)
    return keys


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Database]:
    """Open only the database, migrated, for commands that need nothing else."""
    async with AsyncExitStack() as stack:
        yield await open_database(settings, stack, alone=False)


def start_usage_writer(stack: AsyncExitStack, database: Database, counts: UsageCounts) -> SupervisedTask:
    writer = UsageWriter(database, counts)
    writer.start()
    stack.push_async_callback(writer.close)
    return writer.task


def watch_disk(settings: Settings) -> DiskSpace:
    """Only an embedded database or index fills the disk of DATA_DIR."""
    is_embedded = settings.database_url is None or choose_vector_store(settings) is VectorStore.EDGE
    return DiskSpace(settings.data_dir if is_embedded else None)


def open_short_term(settings: Settings, stack: AsyncExitStack) -> tuple[Counters, ShortTerm]:
    if settings.redis_url is None:
        counters, short_term = InProcessCounters(), InProcessShortTerm()
        stack.push_async_callback(short_term.close)
        return counters, short_term
    client = connect_redis(settings.redis_url.get_secret_value())
    stack.push_async_callback(client.aclose)
    breaker = RedisBreaker()
    return (
        CountersWithFallback(RedisCounters(client), InProcessCounters(), breaker),
        ShortTermWithFallback(RedisShortTerm(client), InProcessShortTerm(), breaker),
    )


def open_webhook_client(settings: Settings, stack: AsyncExitStack) -> HttpWebhookClient:
    client = HttpWebhookClient(allow_private=settings.webhook_allow_private)
    stack.push_async_callback(client.close)
    return client


def rate_limits(settings: Settings, counters: Counters) -> RateLimits:
    read_limit("rate_limit_auth", settings.rate_limit_auth)
    return RateLimits(
        counters,
        user=read_limit("rate_limit_user", settings.rate_limit_user),
        project=read_limit("rate_limit_project", settings.rate_limit_project),
        account=read_limit("rate_limit_account", settings.rate_limit_account or settings.rate_limit_project),
        everyone=read_limit("rate_limit_global", settings.rate_limit_global),
        chat=read_limit("rate_limit_chat", settings.rate_limit_chat),
    )


def read_price(text: str) -> tuple[str, tuple[float, float]]:
    model, _, prices = text.partition("=")
    prompt, _, answer = prices.partition("/")
    return model, (float(prompt), float(answer))


def build_config(settings: Settings) -> Config:
    models = [settings.llm_model, *settings.llm_allowed_models]
    return Config(
        shared=settings.signup_mode is SignupMode.SHARED,
        sign_up_is_open=settings.signup_mode is not SignupMode.CLOSED,
        second_factor_required=settings.second_factor == "required",
        anonymous_administration=settings.anonymous_administration,
        oauth_registration=settings.oauth_registration,
        oauth_issuer=oauth_issuer(settings),
        base_url=settings.base_url,
        auth_limit=settings.rate_limit_auth,
        vector_store=choose_vector_store(settings),
        recall_candidates=settings.recall_candidates,
        recency_half_life_days=settings.recency_half_life_days,
        context_tokens=settings.llm_context_tokens,
        answer_tokens=settings.llm_answer_tokens,
        max_tokens=settings.llm_max_tokens or max(4096, settings.llm_answer_tokens),
        allowed_models=None if "*" in models else frozenset(models),
        account_token_budget=settings.llm_account_tokens_per_month,
        server_token_budget=settings.llm_tokens_per_month,
        model=settings.llm_model,
        model_prices=dict(read_price(each) for each in settings.llm_prices),
        recalled_memories=settings.recalled_memories,
        recall_threshold=settings.recall_threshold,
        has_model=has_model(settings),
        cors_origins=tuple(settings.cors_origins),
        max_body_bytes=settings.max_body_bytes,
        body_bytes_at_once=max(BODY_BYTES, 4 * settings.max_body_bytes),
        request_timeout_seconds=settings.request_timeout_seconds,
        development=settings.development,
        events_kept_days=settings.events_kept_days,
        metrics_apart=settings.metrics_address is not None,
        webhook_allow_private=settings.webhook_allow_private,
        graphql_introspection=settings.graphql_introspection,
    )

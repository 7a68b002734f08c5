"""The metrics of /metrics. Labels are route templates and fixed words, never ids or content."""

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram

REGISTRY = CollectorRegistry()

REQUESTS = Counter("keepsake_requests", "Requests answered", ["method", "route", "status"], registry=REGISTRY)
LATENCY = Histogram(
    "keepsake_request_seconds",
    "Time to the start of the response",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
IN_FLIGHT = Gauge("keepsake_requests_in_flight", "Requests being answered", registry=REGISTRY)
THROTTLED = Counter("keepsake_throttled", "Requests refused with 429", ["limit"], registry=REGISTRY)
LIMITS_UNAVAILABLE = Counter(
    "keepsake_rate_limit_unavailable",
    "Requests counted in the process while the shared counters were unavailable",
    registry=REGISTRY,
)
CONNECTIONS_REFUSED = Counter(
    "keepsake_connections_refused", "Connections closed because they exceeded a limit", ["reason"], registry=REGISTRY
)
POOL_SIZE = Gauge("keepsake_database_connections", "Connections the pool may open", registry=REGISTRY)
POOL_IN_USE = Gauge("keepsake_database_connections_in_use", "Connections in use", registry=REGISTRY)
JOBS = Counter("keepsake_jobs", "Jobs run", ["task", "outcome"], registry=REGISTRY)
JOBS_WAITING = Gauge("keepsake_jobs_waiting", "Jobs not finished", ["status"], registry=REGISTRY)
TASK_RESTARTS = Counter(
    "keepsake_task_restarts", "Background tasks that ended and were started again", ["task"], registry=REGISTRY
)
INDEX_WAITS_ENDED = Counter(
    "keepsake_index_waits_ended",
    "Searches and jobs that went on before everything acknowledged was in the index",
    registry=REGISTRY,
)
RECALLS_FAILED = Counter(
    "keepsake_recalls_failed", "Chat turns answered without memories because recall failed", registry=REGISTRY
)
INDEX_REPAIRING = Gauge("keepsake_index_repairing", "1 while this process repairs the vector index", registry=REGISTRY)
DISK_FREE = Gauge("keepsake_disk_free_bytes", "Free space on the disk of DATA_DIR", registry=REGISTRY)
DISK_RESERVE = Gauge("keepsake_disk_reserve_bytes", "Writes stop while less than this is free", registry=REGISTRY)
MODEL_BREAKER = Enum(
    "keepsake_model_breaker",
    "State of the circuit breaker: closed sends requests, open refuses them, half_open sends one",
    states=["closed", "open", "half_open"],
    registry=REGISTRY,
)
EMBEDDING_BREAKER = Enum(
    "keepsake_embedding_breaker",
    "The same for the embedding model, if a provider embeds",
    states=["closed", "open", "half_open"],
    registry=REGISTRY,
)
SEARCHED_BY_WORDS = Counter(
    "keepsake_searched_by_words",
    "Questions answered by words alone because they could not be embedded",
    registry=REGISTRY,
)
EPISODE_FOLDS = Counter(
    "keepsake_episode_folds",
    "Groups of long-unused episodes that were folded into a summary, or why they were not",
    ["outcome"],
    registry=REGISTRY,
)
ACTIVE_USERS = Gauge("keepsake_active_users", "Callers seen in the last five minutes", registry=REGISTRY)
DELETED_ACCOUNTS = Gauge(
    "keepsake_deleted_accounts",
    "Accounts deleted at the identity provider whose data is not erased yet",
    registry=REGISTRY,
)
OWNERLESS_ORGANIZATIONS = Gauge(
    "keepsake_ownerless_organizations", "Organizations whose owners were all deleted", registry=REGISTRY
)

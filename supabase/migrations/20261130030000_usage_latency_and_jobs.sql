-- How long the requests of each project and key took, and the jobs that ran for them.

alter table public.usage_by_day
  add column jobs bigint not null default 0,
  add column jobs_failed bigint not null default 0,
  -- A histogram: the number of requests in each bucket of app/core/observability/latency.py. Histograms of several
  -- processes and days are added element by element, which percentiles could not be.
  add column latency bigint[] not null default '{}';

-- Searches are counted beside requests, because one chat turn searches, too.

alter table public.usage_by_day add column searches bigint not null default 0;

-- Where an account signed in before, and when an operator lifted its lock-out. The built-in identity provider slows down
-- guesses of strangers with it; with Supabase, both tables stay empty. Networks are stored as keyed hashes.
create table private.sign_in_networks (
  account_id uuid not null references auth.users (id) on delete cascade,
  network_hash bytea not null,
  last_used_at timestamptz not null default now(),
  primary key (account_id, network_hash)
);

create table private.sign_in_unlocks (
  account_id uuid primary key references auth.users (id) on delete cascade,
  unlocked_at timestamptz not null default now()
);

alter table private.sign_in_networks enable row level security;
alter table private.sign_in_networks force row level security;
alter table private.sign_in_unlocks enable row level security;
alter table private.sign_in_unlocks force row level security;
revoke all on private.sign_in_networks, private.sign_in_unlocks from public, anon, authenticated;
grant select, insert, update, delete on private.sign_in_networks, private.sign_in_unlocks to keepsake_system;
create policy "the identity provider remembers networks" on private.sign_in_networks to keepsake_system
  using (true) with check (true);
create policy "the identity provider reads unlocks" on private.sign_in_unlocks to keepsake_system
  using (true) with check (true);

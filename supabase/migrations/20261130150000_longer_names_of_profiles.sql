-- A memory store is a profile, and Anthropic's API allows its name 255 characters.
alter table public.profiles
  drop constraint profiles_name_check,
  add constraint profiles_name_check check (length(name) between 1 and 255);

#!/usr/bin/env bash
# Makes the login of the servers, once, when the database is new. Migrations find it there and leave its password alone.
set -euo pipefail
psql --set ON_ERROR_STOP=1 --set password="$KEEPSAKE_APP_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
create role keepsake_app login noinherit nobypassrls password :'password';
SQL

"""An embedded identity provider with GoTrue's routes and tables, for an installation without Supabase."""

from pathlib import Path

SHIM = Path(__file__).parent / "shim.sql"
GRANTS = Path(__file__).parent / "grants.sql"

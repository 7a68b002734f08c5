"""Our own small identity provider: GoTrue's routes and tables, for a house without Supabase."""

from pathlib import Path

SHIM = Path(__file__).parent / "shim.sql"
GRANTS = Path(__file__).parent / "grants.sql"

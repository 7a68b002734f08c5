"""Our own small identity provider: GoTrue's routes and tables, for a house without Supabase."""

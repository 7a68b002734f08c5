"""One statement on any database, outside the app and its pool."""

import psycopg


def run_sql(url: str, sql: str) -> list[tuple[object, ...]]:
    """The rows that the statement returns, if any."""
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []

"""The vector stores side by side."""

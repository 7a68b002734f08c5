"""Categories: which exist, and which a memory belongs to."""

from app.memory.categories.categorize import categorize_memories
from app.memory.categories.taxonomy import DEFAULT_CATEGORIES, MIN_SIMILARITY, Category, parse_categories

__all__ = ["DEFAULT_CATEGORIES", "MIN_SIMILARITY", "Category", "categorize_memories", "parse_categories"]

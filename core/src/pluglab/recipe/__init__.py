"""Recipes: from a TOML file to validated options."""

"""Upkeep: tables stay small and fast, whatever their writers do. Nothing that a reader still needs is touched."""

"""The tables of an object, as the section `upkeep` of its file calls them."""

from __future__ import annotations

OBJECT_TABLES = ("mirror", "changes", "quarantine", "ledger", "dimension", "snapshot")

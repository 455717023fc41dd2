"""Judging what was read: validation of a run's records, and the quarantine for those that are refused."""

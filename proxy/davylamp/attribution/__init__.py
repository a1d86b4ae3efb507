"""Lineage kept in Redis, and the snapshot that verdicts are attributed with."""

"""Signatures on trial: their vectors run, their faults found, their differences told.

The engine that judges is the production one. Nothing here prints or reads a clock: `pack test` and
whoever installs a pack call the same functions.
"""

"""Finds out what this host can do for davylamp, by trying, and says what to do about the rest."""

from davylamp.doctor.examine import examine
from davylamp.doctor.finding import Area, Finding, Status, can_run

__all__ = ["Area", "Finding", "Status", "can_run", "examine"]

"""A laboratory of network namespaces: sandboxes, a gateway, and an outside world."""

from davylamp.lab.lab import Host, Lab
from davylamp.lab.topology import DEFAULT_ZONE, LabSpec

__all__ = ["DEFAULT_ZONE", "Host", "Lab", "LabSpec"]

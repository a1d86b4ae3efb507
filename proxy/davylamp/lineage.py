"""What a trainer imports: ``from davylamp import lineage`` and ``lineage.Client()``.

See docs/lineage.md for what the records mean, and the Redis keys for clients in other languages.
"""

from davylamp.attribution.client import Client, ToolCallScope
from davylamp.attribution.feedback import RolloutVerdict
from davylamp.attribution.model import Binding, Grade, ToolCall
from davylamp.errors import ConfigError, LineageUnavailable

__all__ = [
    "Binding",
    "Client",
    "ConfigError",
    "Grade",
    "LineageUnavailable",
    "RolloutVerdict",
    "ToolCall",
    "ToolCallScope",
]

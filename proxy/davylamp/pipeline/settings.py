"""Where a pipeline stands, what bounds it, and what it counts."""

from dataclasses import dataclass, field
from enum import StrEnum

from davylamp.flowtable import FlowLimits
from davylamp.inspection.inspector import InspectionLimits
from davylamp.reassembly import StreamLimits


class Vantage(StrEnum):
    """Where packets come from, which decides what may be missing.

    ``INLINE``: each packet waits for its fate, connection set-up is not seen, nothing is missing.
    ``SAMPLE``: copies of some packets already delivered; holes are the rule.
    ``TRACE``: a capture file; set-up is seen, packets may be missing or cut.
    """

    INLINE = "inline"
    SAMPLE = "sample"
    TRACE = "trace"


@dataclass(frozen=True, slots=True)
class PipelineLimits:
    """Every bound of the core in one place."""

    flows: FlowLimits = field(default_factory=FlowLimits)
    stream: StreamLimits = field(default_factory=StreamLimits)
    inspection: InspectionLimits = field(default_factory=InspectionLimits)
    alerts_per_flow: int = 32


@dataclass(slots=True)
class PipelineStats:
    """Counters since the pipeline began.

    ``cleared`` and ``blocked`` count verdicts, ``conflicts`` and ``refused`` segments.
    """

    packets: int = 0
    bytes: int = 0
    flows: int = 0
    alerts: int = 0
    cleared: int = 0
    blocked: int = 0
    conflicts: int = 0
    refused: int = 0

"""Packets in, decisions out: reassembly, inspection, policy and incident composed.

Sans-I/O and single-threaded: one pipeline belongs to one queue worker, sampler or capture file.

What happens to a TCP packet with payload:

    flow unknown   -> a glance at it, else a new inspector; if that settles the flow it is CLEARed
                      at once and never stored (one packet in user space per clean connection)
    flow known     -> reassembled, its new bytes inspected; CLEARed by what settles it
    flow recalled  -> (the kernel had cleared it) as above; CLEARed again by any whole message
    half a message -> REARM, so that the other half comes here whatever was decided before
    flow put out with half a message -> DROP, resets to both ends: nobody knows what its rest makes
    flow blocked   -> DROPped, and its sender reset again
    a finding that policy blocks -> DROP, resets to both ends, the endpoint blocked
    conflicting overlap, or a bound met -> DROP: the receiver never sees what we could not read

The fate of a packet is decided by what its own bytes complete, so a mining request is never whole
at its receiver. In observe mode nothing is ever dropped: what would be refused is a hole instead.
"""

from davylamp.pipeline.composition import Pipeline
from davylamp.pipeline.settings import PipelineLimits, PipelineStats, Vantage
from davylamp.pipeline.steered import Steering

__all__ = ["Pipeline", "PipelineLimits", "PipelineStats", "Steering", "Vantage"]

"""Which rendering an output was configured with, as bytes without a newline."""

from collections.abc import Callable
from enum import StrEnum
from typing import assert_never

import msgspec

from davylamp import events
from davylamp.events import AnyEvent
from davylamp.outputs.renderings.ecs import ecs_document
from davylamp.outputs.renderings.ocsf import ocsf_document

Render = Callable[[AnyEvent], bytes]

_encoder = msgspec.json.Encoder()


class Format(StrEnum):
    """The words that an output speaks: ours (Suricata's EVE), Elastic's or OCSF's."""

    EVE = "eve"
    ECS = "ecs"
    OCSF = "ocsf"


def renderer(form: Format) -> Render:
    """Return what makes one line of JSON of an event, without the newline."""
    match form:
        case Format.EVE:
            return events.encode
        case Format.ECS:
            return lambda event: _encoder.encode(ecs_document(event))
        case Format.OCSF:
            return lambda event: _encoder.encode(ocsf_document(event))
        case _ as never:
            assert_never(never)

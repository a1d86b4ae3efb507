"""The exceptions that davylamp raises on purpose, split by what the caller does next.

Hostile traffic is never one of them: bytes from a sandbox or a pool end as findings or as
nothing, not as exceptions.
"""


class DavylampError(Exception):
    """Base of the errors below; the command line prints its message and exits 2."""


class ConfigError(DavylampError):
    """The user's configuration or arguments are wrong; the message says what to write instead."""


class AmbiguousNameError(ConfigError):
    """Several containers had a name at the time, so it does not tell which is meant."""


class PackError(DavylampError):
    """A signature pack cannot be used; the pack already in force stays in force."""


class CaptureError(DavylampError):
    """A capture file or capture socket gave something that cannot be read on from."""


class KernelError(DavylampError):
    """The host (its kernel, a program, another gateway) refuses what is needed; says the remedy."""


class LineageUnavailable(DavylampError):  # noqa: N818 - the design's own name for it
    """Redis cannot be reached; the caller goes on with its snapshot and tries again."""


class EngineError(DavylampError):
    """What runs the containers cannot be reached or refuses; the caller goes on and tries again."""


class ActionRefused(DavylampError):  # noqa: N818 - what it is
    """What was to be done about an incident cannot be, now or later; the caller notes it."""


def reason(error: Exception) -> str:
    """Return why a file could not be read, for a message that names the file already."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def why(error: Exception) -> str:
    """Return what went wrong, for a message that names nothing else; never empty."""
    return reason(error) or type(error).__name__

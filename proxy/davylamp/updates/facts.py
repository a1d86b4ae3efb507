"""What is to be said of a compiled pack: its version, age and expiry at a time."""

import datetime as dt

from davylamp.events import PackEvent, rfc3339
from davylamp.updates.loading import Loaded


def pack_event(
    change: str, loaded: Loaded, now: dt.datetime, reason: str = "", pause: float = 0.0
) -> PackEvent:
    """Return what is to be said of a pack at a time."""
    manifest, pack = loaded.manifest, loaded.pack
    created = manifest.created if manifest is not None else _date_of(pack.version)
    expires = manifest.expires if manifest is not None else None
    return PackEvent(
        timestamp=rfc3339(now.timestamp()),
        change=change,
        pack=pack.name,
        version=pack.version,
        number=manifest.number if manifest is not None else 0,
        signatures=len(pack.signatures),
        created=created.isoformat() if created is not None else "",
        expires=expires.isoformat() if expires is not None else "",
        expired=expires is not None and expires < now,
        rules_age_seconds=max(0.0, (now - created).total_seconds()) if created else 0.0,
        reason=reason,
        pause_seconds=pause,
    )


def _date_of(version: str) -> dt.datetime | None:
    """Return midnight of a CalVer version's day, None where it is no date."""
    parts = version.partition("+")[0].split(".")[:3]
    try:
        year, month, day = map(int, parts)
        return dt.datetime(year, month, day, tzinfo=dt.UTC)
    except ValueError:
        return None

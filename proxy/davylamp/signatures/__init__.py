"""Signature packs: bytes on disk to typed, compiled signatures.

`pack.load` compiles a pack from bytes, `disk.load_directory` from a directory; `Pack` has the
lookups. docs/signatures.md describes the language.
"""

from davylamp.signatures.model import (
    Category,
    Match,
    Maturity,
    NameMatch,
    Role,
    Signature,
    SignatureId,
)
from davylamp.signatures.pack import Pack

__all__ = [
    "Category",
    "Match",
    "Maturity",
    "NameMatch",
    "Pack",
    "Role",
    "Signature",
    "SignatureId",
]

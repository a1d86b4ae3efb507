"""One signature file to one Signature; every mistake is named with file, line and column."""

from davylamp.signatures.conditions import compile_condition, surest
from davylamp.signatures.fields import Fields
from davylamp.signatures.language import SIGNATURE
from davylamp.signatures.model import (
    Category,
    CertificateCondition,
    Condition,
    EndpointCondition,
    EventCondition,
    Kind,
    Maturity,
    NameCondition,
    Role,
    Signature,
    SignatureId,
)
from davylamp.signatures.source import canonical, fault, read

_WORDING = ("rev", "title", "detail", "references")
"""Fields that may change while what the signature means does not."""


def compile_signature(data: bytes, file: str) -> Signature:
    """Compile one signature file; raise PackError when it cannot be used as written."""
    node = read(data, file)
    fields = Fields(node, SIGNATURE)
    identity = fields.scalar("id")
    if identity.text != file.rpartition("/")[2].removesuffix(".yaml"):
        raise fault(
            identity.place,
            f"id {identity.text!r} and file name differ; name the file {identity.text}.yaml",
        )
    condition = compile_condition(fields.node("when"))
    most = surest(condition)
    if fields.whole("confidence") > most:
        raise fault(
            fields.node("confidence").place,
            f"a certificate can be shown by anybody: by that alone nothing is surer than {most}; "
            "write that or less, or ask for something else in 'all_of'",
        )
    return Signature(
        id=SignatureId(identity.text),
        rev=fields.whole("rev"),
        title=fields.text("title"),
        category=fields.choice("category", Category),
        dialect=fields.text("dialect"),
        role=fields.choice("role", Role),
        confidence=fields.whole("confidence"),
        severity=fields.whole("severity"),
        maturity=fields.choice("maturity", Maturity),
        detail=fields.text("detail"),
        coins=fields.texts("coins"),
        references=fields.texts("references"),
        technique=fields.text("technique"),
        condition=condition,
        kind=fields.choice("kind", Kind, _default_kind(condition)),
        fallback=fields.flag("fallback") is True,
        place=node.place,
        written=canonical(node, without=_WORDING),
    )


def _default_kind(condition: Condition) -> Kind:
    match condition:
        case NameCondition() | EndpointCondition() | CertificateCondition():
            return Kind.NAME
        case EventCondition():
            return Kind.EVENT
        case _:
            return Kind.MESSAGE

"""A new signature with its vectors, which pass as they are and are there to be changed."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from davylamp.errors import ConfigError
from davylamp.signatures.language import ID
from davylamp.signatures.pack import FORMAT, LISTS, MANIFEST, VECTORS


class Form(StrEnum):
    """What kind of message a scaffold is about."""

    JSON = "json"
    LINE = "line"
    BYTES = "bytes"
    HTTP = "http"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class _Example:
    """A condition, what meets it and what nearly does, as they stand in files."""

    when: str
    match: str
    near: str


PLACEHOLDER = "https://example.org/where-the-fact-is-from"
"""The reference of a new signature; `davylamp pack lint` asks for a better one."""

_EXAMPLES: Mapping[Form, _Example] = {
    Form.JSON: _Example(
        """\
  json:
    from: client
    method: toy.hello
    members:
      params: [wallet, "string:1-", "agent?"]
    coin:
      wallet: params.0""",
        """\
    - client: |
        {"id": 1, "method": "toy.hello", "params": ["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",\
 "rig7"]}""",
        """\
    - client: |
        {"id": 1, "method": "toy.hello", "params": ["everybody", "rig7"]}""",
    ),
    Form.LINE: _Example(
        """\
  line:
    from: client
    starts_with: "TOY,"
    split: ","
    fields: [{$const: TOY}, wallet, "digits:1-9"]""",
        """\
    - client: |
        TOY,bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4,64""",
        """\
    - client: |
        TOY,a wooden horse,64""",
    ),
    Form.BYTES: _Example(
        """\
  bytes:
    from: client
    starts_with: {hex: 54 4f 59 01}
    contains: rig""",
        """\
    - client: {hex: 54 4f 59 01 00 04 72 69 67 37}""",
        """\
    - client: {hex: 54 4f 59 02 00 04 72 69 67 37}""",
    ),
    Form.HTTP: _Example(
        """\
  http:
    method: POST
    path: /toy/work*
    headers:
      x-toy-rig: "string:1-32\"""",
        """\
    - client: "POST /toy/work HTTP/1.1\\r\\nHost: a.test\\r\\nX-Toy-Rig: rig7\\r\\n\\r\\n\"""",
        """\
    - client: "POST /toy/workers HTTP/1.1\\r\\nHost: shop.test\\r\\n\\r\\n\"""",
    ),
    Form.CERTIFICATE: _Example(
        """\
  certificate:
    name: [toy.example, "*.toy.example"]
    self_signed: true""",
        """\
    - certificate: |
        -----BEGIN CERTIFICATE-----
        MIIBGDCBv6ADAgECAgEHMAoGCCqGSM49BAMCMBYxFDASBgNVBAMMC3RveS5leGFt
        cGxlMB4XDTI2MDEwMTAwMDAwMFoXDTI3MDEwMTAwMDAwMFowFjEUMBIGA1UEAwwL
        dG95LmV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASPn4BUsa1C2PDU
        kHctsgfwiSTLqb4YEp8H5XBHK/a+Z2q1I00hZcJyHronbBzmsbSLuXd3egr2Vq1C
        lS3vxLdWMAoGCCqGSM49BAMCA0gAMEUCIQDX6oWdhI12mSclfj8pjDIEJuvVCmru
        sRAkmKPOyPW09AIgURnpul3nIggwo9tI1lMaVgAxRfAeOmA6gbsnT+CJt08=
        -----END CERTIFICATE-----""",
        """\
    - certificate: |
        -----BEGIN CERTIFICATE-----
        MIIBGTCBwaADAgECAgEHMAoGCCqGSM49BAMCMBcxFTATBgNVBAMMDHNob3AuZXhh
        bXBsZTAeFw0yNjAxMDEwMDAwMDBaFw0yNzAxMDEwMDAwMDBaMBcxFTATBgNVBAMM
        DHNob3AuZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABI+fgFSxrULY
        8NSQdy2yB/CJJMupvhgSnwflcEcr9r5narUjTSFlwnIeuidsHOaxtIu5d3d6CvZW
        rUKVLe/Et1YwCgYIKoZIzj0EAwIDRwAwRAIgOP4n8NsTVIK1GX4hv38wcSU7LB9X
        92rV/C9SEymaxx4CIEiudm9DwCu0jlW6AwUWbxE0C/hMJU7yR5sTWspqXmuX
        -----END CERTIFICATE-----""",
    ),
}


def scaffold(identity: str, family: str, form: Form) -> dict[str, str]:
    """Return the texts of a signature and its vectors, by path in the pack."""
    for word in (identity, family):
        if not re.fullmatch(ID, word):
            raise ConfigError(f"{word!r}: write lower-case words joined by '-', as toy-hello")
    if family in {VECTORS, LISTS}:
        raise ConfigError(f"{family!r} is no folder for signatures; name another with --family")
    example = _EXAMPLES[form]
    return {
        f"{family}/{identity}.yaml": _SIGNATURE.format(
            identity=identity, family=family, when=example.when, reference=PLACEHOLDER
        ),
        f"{VECTORS}/{family}/{identity}.yaml": _VECTORS.format(
            match=example.match, near=example.near
        ),
    }


def manifest(name: str, version: str) -> tuple[str, str]:
    """Return path and text of a pack's own file."""
    written = name if re.fullmatch(r"[\w.-]+", name) else json.dumps(name)
    return MANIFEST, f"name: {written}\nversion: {version}\nformat: {FORMAT}\n"


_SIGNATURE = """\
# What each key means: docs/signature-reference.md, or `davylamp pack schema`.
id: {identity}
rev: 1                        # raise it with every change of meaning
title: Toy protocol greeting
category: mining
dialect: {family}
role: miner                   # who says it: miner, pool or either
kind: login                   # what the message does in a session
confidence: 70                # 80 and more blocks alone, once the signature is stable
severity: 2
maturity: incubating          # sandbox: off; incubating: alerts; stable: may block
technique: T1496.001
references:
  - {reference}
detail: a greeting of the toy protocol with a wallet
when:
{when}
"""

_VECTORS = """\
# Traffic that must match, and traffic that nearly does and must not.
- name: a greeting
  source: made up; say where yours is from
  stream:
{match}
  expect: match

- name: almost a greeting
  source: made up
  stream:
{near}
  expect: none
"""

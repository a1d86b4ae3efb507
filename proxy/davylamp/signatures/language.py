"""The signature language: every mapping, its keys and what they mean.

docs/signature-reference.md and signatures/schema.json are made from this; `compile` reads by it.
"""

from davylamp.signatures.flights import MAX_FLIGHTS
from davylamp.signatures.model import Category, Kind, Maturity, Role
from davylamp.signatures.spec import (
    Choice,
    Field,
    Flag,
    Literals,
    Nested,
    OneCondition,
    Record,
    ShapeOf,
    SomeConditions,
    Text,
    Texts,
    Whole,
)

NAME_FIELDS = ("tls.sni", "dns.query", "socks.host", "http.connect", "http.host")
SIDES = ("client", "server")

EVENTS = {
    "tcp.overlap-conflict": "two copies of the same stretch of a TCP stream differ",
    "ssh.banner": "an SSH identification string opens a flow, on any port",
    "stratum-v2.setup": "a SetupConnection of Stratum V2 in the clear, that fits to its last byte",
    "stratum-v2.open": "a channel of Stratum V2 is opened in the clear",
    "stratum-v2.share": "a share of Stratum V2 in the clear",
    "stratum-v2.job": "a job of Stratum V2 in the clear",
    "stratum-v2.noise-handshake": "two flights of exactly the sizes of Stratum V2 under Noise",
    "stratum-v2.noise-session": "four flights of exactly the sizes of Stratum V2 under Noise",
    "alephium.jobs": "jobs in Alephium's binary protocol",
    "alephium.submission": "a submission in Alephium's binary protocol",
    "duino-coin.message": "a message of Duino-Coin",
    "duino-coin.session": "messages of Duino-Coin that prove each other",
    "http.miner-agent": "an HTTP request's User-Agent is a mining program",
    "http.mining-field": "an HTTP head has a field that only miners and their nodes write",
    "http.sia-header": "an HTTP request for Sia's block header",
    "http.chia-farmer": "an HTTP request of a Chia farmer to its pool",
    "http.getwork-socket": "an HTTP request to DERO's or Xelis's getwork WebSocket",
    "http.dns-message": "an HTTP request has, or asks for, a DNS message (RFC 8484)",
    "p2p.bitcoin": "a node of Bitcoin's family greets its peer",
    "p2p.levin": "a node of Monero's family greets its peer",
    "p2p.p2pool": "a P2Pool node greets its peer",
    "tls.pinned-client": "a client that asked for no name and no protocol at a bare address"
    " refused our certificate",
}
"""What the engine notices, and when."""

MIN_ANCHOR = 4
"""Bytes of the shortest literal by which a stream, a line or a path is found."""

MAX_LITERAL = 64
MAX_WITHIN = 1024
DEFAULT_WITHIN = 256
MAX_LINE = 1024
"""Bytes of the longest line that a `line` condition is asked about."""

LEAST_FLIGHTS = 2

MAX_LEAVES = 8
"""Conditions in one combination."""

LEAST_ENOUGH = 64
MOST_ENOUGH = 16 * 1024
DEFAULT_ENOUGH = 4096

_FROM = Field(
    "from", Choice(SIDES), "Who says it: `client` opened the flow. Left out, either of them."
)
_LABEL = "[A-Za-z0-9_-]{1,63}"
_HOST = (
    rf"^({_LABEL}(\.{_LABEL}){{0,8}}|\*\.{_LABEL}(\.{_LABEL}){{1,8}}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)$"
)
_NAMED = (
    "`*.example.org` is every name beneath it. No dot at its end; other scripts as `xn--` writes"
    " them."
)
_JA4 = (
    "^t[0-9a-z]{7}[0-9A-Za-z]{2}_"
    "([0-9a-f]{12}_[0-9a-f]{12}|[0-9a-f]{0,12}[*]|[0-9a-f]{12}_[0-9a-f]{0,12}[*])$"
)
_PREFIXED = "A `*` at the end stands for anything."

_COIN = Record(
    "Where the coin can be read, as member names and list positions joined by dots.",
    (
        Field("wallet", Text(), "Path of a coin address, as `params.0`."),
        Field("algo", Text(), "Path of an algorithm name, as `params.algo`."),
    ),
)

JSON = Record(
    "One JSON object, wherever it stands as a message of its own: a line, an HTTP body, a"
    " WebSocket message. Text that quotes one inside a larger value is none.",
    (
        Field(
            "method",
            Texts(alone=True),
            "The value of its `method` member, exactly; or a list of values; `mining.*` is every"
            " one with `mining` before its first dot.",
        ),
        Field("members", ShapeOf(), "The shape of the whole object."),
        _FROM,
        Field("coin", Nested(_COIN), "Where the coin can be read from."),
    ),
    needs=("method", "members"),
)

NAME = Record(
    "A host name on a list, seen in one place.",
    (
        Field("field", Choice(NAME_FIELDS), "Where the name is seen.", required=True),
        Field("list", Text(), "The list: `lists/LIST.tsv`.", required=True),
    ),
)

LINE = Record(
    "One line of text outside HTTP and TLS, without its line break; of at most 1,024 bytes, and"
    " begun in the first 16 KiB that a side sends. Judged at its line break. Where a NUL byte was"
    " sent there is no text from there on.",
    (
        _FROM,
        Field("starts_with", Literals(MIN_ANCHOR, many=True), "It begins with one of these."),
        Field("ends_with", Literals(MIN_ANCHOR, many=True), "It ends with one of these."),
        Field("contains", Literals(many=True), "It has all of these in it."),
        Field("split", Text(longest=8), "What its fields are separated by, as `,`."),
        Field(
            "fields",
            ShapeOf(),
            "The shape of the list of its fields, all of which are strings; with `split`.",
        ),
    ),
    needs=("starts_with", "ends_with"),
)

BYTES = Record(
    "The first bytes that a side sends, in the flow or in a tunnel inside it.",
    (
        _FROM,
        Field(
            "starts_with",
            Literals(MIN_ANCHOR, many=True),
            "They begin with one of these.",
            required=True,
        ),
        Field("contains", Literals(many=True), "All of these are within the first `within` bytes."),
        Field(
            "within",
            Whole(MIN_ANCHOR, MAX_WITHIN),
            f"How far `contains` looks: {DEFAULT_WITHIN} bytes where it is left out.",
        ),
    ),
)

HTTP = Record(
    "The head of an HTTP/1 request (or, from the server, response), inside TLS where it is opened.",
    (
        Field("from", Choice(SIDES), "`client`: a request, as where it is left out."),
        Field("method", Texts(alone=True), "The request's method, or a list of methods."),
        Field(
            "path",
            Texts(alone=True, pattern="^/[^?*]*[*]?$"),
            f"The path, from its `/` on and without query. {_PREFIXED}",
        ),
        Field(
            "host",
            Texts(alone=True, pattern=_HOST),
            f"The host asked for, without port. {_NAMED}",
        ),
        Field(
            "headers",
            ShapeOf(an_object=True),
            "Header fields, names in lower case, with the shape of their values, which are"
            " strings: `any` asks whether it is there.",
        ),
    ),
    needs=("path", "host", "headers"),
)

TLS = Record(
    "The ClientHello of a TLS connection.",
    (
        Field(
            "ja4",
            Texts(alone=True, pattern=_JA4),
            "The JA4 fingerprint, as `t13d1516h2_8daaf6152771_e5627efa2ab1`, or several. A `*`"
            " behind its first `_`, or later, stands for anything. Clients share libraries, and so"
            " fingerprints: weak evidence.",
        ),
        Field("sni", Texts(alone=True, pattern=_HOST), f"The server name. {_NAMED}"),
        Field("alpn", Texts(alone=True), "A protocol that is offered, or one of several."),
        Field("names_server", Flag(), "Whether there is a server name at all."),
        Field("ech", Flag(), "Whether the hello has an encrypted inner one, or pretends to."),
    ),
    needs=("ja4", "sni", "alpn"),
)

CERTIFICATE = Record(
    "The certificate that a server shows for itself: in the clear up to TLS 1.2, and of any version"
    " where TLS is opened. By itself nothing is surer than 90 by its digest, and 70 otherwise.",
    (
        Field(
            "sha256",
            Texts(alone=True, pattern="^[0-9a-f]{64}$"),
            "The SHA-256 of its DER, or several: 64 hexadecimal digits in lower case, without"
            " colons.",
        ),
        Field(
            "name",
            Texts(alone=True),
            "A name that it is for: its subject's common name, or an alternative name."
            " `*.example.org` is every name beneath.",
        ),
        Field(
            "issuer",
            Texts(alone=True),
            "Its issuer's common name, or organisation where it has none.",
        ),
        Field("self_signed", Flag(), "Whether subject and issuer are the same."),
    ),
    needs=("sha256", "name", "issuer"),
)

ENDPOINT = Record(
    "The address and port that a TCP flow goes to, on a list.",
    (Field("list", Text(), "The list: `lists/LIST.tsv`, of addresses.", required=True),),
)

FLIGHTS = Record(
    "The sizes of the first flights of a TCP flow, or of a tunnel in it: a flight is all that one"
    " side sends until the other says something. Only in `all_of`, beside something else.",
    (
        Field(
            "sizes",
            Texts(pattern="^(client|server):[0-9]{1,6}(-[0-9]{0,6})?$"),
            f"Of each flight, from the first on and {LEAST_FLIGHTS} to {MAX_FLIGHTS} of them, who"
            " sends it and how many bytes: `client:64`, `server:200-240`, `client:100-` (at"
            " least).",
            required=True,
        ),
    ),
)

NEGATION = Record(
    "A condition that must not have been met, once enough was seen to say so.",
    (
        Field("condition", OneCondition(), "What must not be there.", required=True),
        Field(
            "enough",
            Whole(LEAST_ENOUGH, MOST_ENOUGH),
            "How many bytes of the side that could say it (of both, where it is not said which)"
            f" must have been seen: {DEFAULT_ENOUGH} where it is left out. What comes later does"
            " not count.",
        ),
    ),
)

CONDITION = Record(
    "Exactly one of these.",
    (
        Field("json", Nested(JSON), JSON.says),
        Field("name", Nested(NAME), NAME.says),
        Field(
            "event",
            Choice(tuple(EVENTS)),
            "Something noticed while reading the flow: see the events.",
        ),
        Field("line", Nested(LINE), LINE.says),
        Field("bytes", Nested(BYTES), BYTES.says),
        Field("http", Nested(HTTP), HTTP.says),
        Field("tls", Nested(TLS), TLS.says),
        Field("endpoint", Nested(ENDPOINT), ENDPOINT.says),
        Field("certificate", Nested(CERTIFICATE), CERTIFICATE.says),
        Field("flights", Nested(FLIGHTS), FLIGHTS.says),
        Field("any_of", SomeConditions(), "At least one of these, anywhere in the flow."),
        Field("all_of", SomeConditions(), "All of these in one flow, in any order."),
        Field("not", Nested(NEGATION), NEGATION.says),
    ),
)

ID = "^[a-z0-9]+(-[a-z0-9]+)*$"
"""What a signature's id looks like."""

SIGNATURE = Record(
    "One signature: one file, named after its id.",
    (
        Field(
            "id",
            Text(pattern=ID),
            "The file's name, without `.yaml`: lower-case words joined by `-`.",
            required=True,
        ),
        Field(
            "rev", Whole(1, 1_000_000), "Raised with every change of what it means.", required=True
        ),
        Field("title", Text(), "A few words for lists.", required=True),
        Field("category", Choice.of(Category), "What a match means.", required=True),
        Field("dialect", Text(), "The protocol's name.", required=True),
        Field("role", Choice.of(Role), "Who says it.", required=True),
        Field("kind", Choice.of(Kind), "What a message does in a session; see Kind."),
        Field("fallback", Flag(), "Whether it speaks only where nothing better matches."),
        Field("coins", Texts(), "Tickers of the coins it can be about."),
        Field("confidence", Whole(0, 100), "How sure one match is by itself.", required=True),
        Field("severity", Whole(1, 4), "1 is worst.", required=True),
        Field(
            "maturity",
            Choice.of(Maturity),
            "`sandbox` is off, `incubating` alerts, `stable` may block.",
            required=True,
        ),
        Field(
            "technique",
            Text(pattern="^T[0-9]{4}(\\.[0-9]{3})?$"),
            "The ATT&CK technique that it shows, as `T1496.001`.",
        ),
        Field("references", Texts(), "Where the fact is from."),
        Field("detail", Text(), "One sentence for people, in every alert.", required=True),
        Field("when", OneCondition(), "The condition.", required=True),
    ),
)

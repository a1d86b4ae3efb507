"""Who is let in: hosts, origins, cookies, certificates, failures, and the bounds on all of them."""

import http.client
import json
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner
from tests.api.conftest import Serve, Site
from tests.api.talk import Answer, ask, wait_until

from davylamp.api import endpoint, failures, server, sessions
from davylamp.api.failures import Failures
from davylamp.api.listening import listening_of
from davylamp.api.scopes import Scope, tokens_of
from davylamp.api.sessions import Sessions
from davylamp.cli import main
from davylamp.config import ApiConfig, ApiTlsConfig, GatewayConfig, parse_config
from davylamp.errors import ConfigError
from davylamp.gateway import Gateway

HEALTH = "/api/v1/health"


def login(site: Site, **headers: str) -> tuple[Answer, str]:
    """Exchange the token; return the answer, and the cookie as a browser sends it back."""
    sent = {"token": site.token()}
    answer = ask(site, "POST", "/api/v1/session", sent, token=None, headers=headers)
    return answer, answer.headers.get("Set-Cookie", "").partition(";")[0]


HOSTS = [
    ("127.0.0.1", True),
    ("127.0.0.1:9465", True),
    ("[::1]:9465", True),
    ("localhost:1", True),
    ("LOCALHOST", True),
    ("gateway.example", True),
    ("gateway.example.:80", True),
    ("10.1.2.3", True),
    ("evil.example", False),
    ("gateway.example.evil.example", False),
    ("localhost.evil.example", False),
    ("127.0.0.1.evil.example", False),
    ("2130706433", False),
    ("0x7f.1", False),
    ("", False),
    ("[", False),
    ("a@127.0.0.1@evil.example", False),
]


def test_only_names_that_nobody_can_rebind_are_answered(serve: Serve) -> None:
    """Addresses, localhost and configured names are served; any other Host is misdirected."""
    site = serve(hosts=["Gateway.example"])
    for host, known in HOSTS:
        status = ask(site, "GET", HEALTH, headers={"Host": host}).status
        assert status in ({200} if known else {400, 421}), host
    assert ask(site, "GET", "/", token=None, headers={"Host": "evil.example"}).status == 421


def test_no_other_page_may_ask(site: Site) -> None:
    """Another origin is refused even with a credential; a cookie counts from our own page only."""
    own = site.url
    answer, cookie = login(site, Origin=own)
    assert answer.status == 200
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{site.port + 1}", "http://["):
        assert ask(site, "GET", HEALTH, headers={"Origin": origin}).status == 403
        assert login(site, Origin=origin)[0].status == 403
    resolve = "/api/v1/incidents/inc-1/resolve"

    def with_cookie(method: str, path: str, body: Any = None, **headers: str) -> int:
        sent = {"Cookie": cookie, **{name.replace("_", "-"): one for name, one in headers.items()}}
        return ask(site, method, path, body, token=None, headers=sent).status

    assert with_cookie("GET", HEALTH) == 200
    assert with_cookie("GET", HEALTH, Sec_Fetch_Site="same-origin") == 200
    for other in ("cross-site", "same-site"):
        assert with_cookie("GET", HEALTH, Sec_Fetch_Site=other) == 401
    assert with_cookie("POST", resolve, {}) == 401
    assert with_cookie("POST", resolve, {}, Origin=own) == 404  # let in; there is no such incident
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert with_cookie("POST", resolve, b"note=x", Origin=own, **form) == 415
    assert with_cookie("DELETE", "/api/v1/session", Origin=own) == 200
    assert with_cookie("GET", HEALTH) == 401


def test_the_cookie_is_no_scripts_and_not_the_token(site: Site) -> None:
    """It is HttpOnly and SameSite=Strict; a token that may not look gets none."""
    answer, cookie = login(site)
    flags = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {one.strip() for one in flags.split(";")}
    assert site.token() not in flags
    assert len(cookie) > 40
    narrow = {"token": site.token("register.token")}
    assert ask(site, "POST", "/api/v1/session", narrow, token=None).status == 403
    wrong = {"token": "x" * 43}
    assert ask(site, "POST", "/api/v1/session", wrong, token=None).status == 401


def test_failures_are_limited_and_lock_nobody_out(site: Site) -> None:
    """After ten wrong tokens an address is answered 429 with a time; the right one still works."""
    bad = {"Authorization": "Bearer " + "x" * 43}
    statuses = [ask(site, "GET", HEALTH, token=None, headers=bad).status for _ in range(12)]
    assert statuses == [401] * failures.BURST + [429, 429]
    answer = ask(site, "GET", HEALTH, token=None, headers=bad)
    assert 0 < int(answer.headers["Retry-After"]) <= 12
    assert answer.headers["Connection"] == "close"
    assert ask(site, "GET", HEALTH).status == 200


def test_addresses_and_sessions_that_are_remembered_are_bounded() -> None:
    """A prefix fails as one address, the oldest are forgotten, and a log-in ends."""
    now = [0.0]
    book = Failures(lambda: now[0])
    for number in range(failures.BURST):
        assert book.add(f"2001:db8::{number:x}") == 0
    assert book.add("2001:db8::ffff") > 0
    assert book.add("::ffff:10.0.0.1") == 0
    for number in range(failures.CAPACITY + 5):
        book.add(f"10.{number >> 8}.{number & 255}.1")
    assert book.add("2001:db8::1") == 0
    now[0] = failures.SECONDS_EACH * 3
    log = Sessions(lambda: now[0])
    cookies = [log.begin(frozenset({Scope.READ})) for _ in range(sessions.CAPACITY + 1)]
    assert log.find(cookies[0]) is None
    assert log.find(cookies[-1]) is not None
    now[0] += sessions.LIFETIME
    assert log.find(cookies[-1]) is None


@pytest.mark.parametrize("name", ["token", "read.token"])
def test_what_is_wrong_with_a_body_is_said(site: Site, name: str) -> None:
    """Too long, no JSON, nested without end, of another shape: each has its status, never a 500."""
    path = "/api/v1/incidents/inc-1/resolve"
    cases = [
        (b"{" * 10, 400),
        (b"[" * 60_000, 422),
        (b'{"note":"\xff"}', 400),
        (b'{"note":1}', 422),
        (b'{"nonsense":1}', 422),
        (b'{"note":"' + b"x" * 501 + b'"}', 422),
        (b'{"note":"a\\nb"}', 422),
        (b" " * (endpoint.BODY_BYTES + 1), 413),
        (b"{}", 404),
    ]
    for body, status in cases:
        answer = ask(site, "POST", path, body, token=name)
        assert answer.status == (status if name == "token" else 403), body[:20]
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json["status"] == answer.status
    for path in ("/nothing", "/page/../server.py", "/page/nothing.js", "/api/v1/incidents/%00"):
        assert ask(site, "GET", path).status == 404
    assert ask(site, "GET", "/api/v1/incidents?limit=100000").status == 400
    assert ask(site, "GET", "/api/v1/lineage/" + "x" * 600).status == 404


def test_who_says_nothing_is_hung_up_on(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that never ends, a body that never comes, and one connection too many."""
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.3)
    monkeypatch.setattr(endpoint, "SECONDS", 0.3)
    monkeypatch.setattr(server, "CONNECTIONS", 8)
    site = serve()

    def opened(said: bytes) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", site.port), timeout=10)
        connection.sendall(said)
        return connection

    with opened(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ") as silent:
        assert silent.recv(100) == b""
    head = f"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\nContent-Length: 9\r\n"
    with opened(head.encode() + b"Content-Type: application/json\r\n\r\n{") as slow:
        assert slow.recv(100).startswith(b"HTTP/1.1 503")
    held = [opened(b"G") for _ in range(8)]
    try:
        with opened(b"") as one_more:
            assert one_more.recv(100) == b""
    finally:
        for one in held:
            one.close()
    assert wait_until(lambda: _answers(site))


GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: y\r\n" * 500 + b"\r\n",
    (
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    ),
]


def test_what_is_no_http_fills_no_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Garbage is answered 400 and nothing is written about it; odd credentials are only wrong."""
    for raw in GARBAGE:
        with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
            connection.sendall(raw)
            assert b" 400 " in connection.recv(100)
    odd = {"Authorization": "Bearer \xff\xfe", "Cookie": 'davylamp=\xff; a="'}
    assert ask(site, "GET", HEALTH, token=None, headers=odd).status == 401
    assert _answers(site)
    assert caplog.records == []


def _answers(site: Site) -> bool:
    try:
        return ask(site, "GET", HEALTH).status == 200
    except (OSError, http.client.HTTPException):
        return False


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    """Give an authority, its certificate in ``ca.pem``."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    made.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        str(tmp_path / "api.pem")
    )
    return made


def test_a_certificate_is_a_credential(serve: Serve, authority: trustme.CA, tmp_path: Path) -> None:
    """With an authority for clients nobody comes without one, and a name has its own rights."""
    for name in ("trainer.example", "stranger.example"):
        authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(
            str(tmp_path / f"{name}.pem")
        )
    site = serve(
        tls={
            "certificate": str(tmp_path / "api.pem"),
            "client_ca": str(tmp_path / "ca.pem"),
            "clients": {"trainer.example": ["read"]},
        }
    )

    def status(path: str, client: str = "", method: str = "GET", **headers: str) -> int:
        context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        if client:
            context.load_cert_chain(tmp_path / f"{client}.pem")
        connection = http.client.HTTPSConnection("127.0.0.1", site.port, context=context)
        try:
            connection.request(method, path, headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()

    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        status(HEALTH)
    assert status(HEALTH, "trainer.example") == 200
    assert status("/api/v1/incidents/x/packets", "trainer.example") == 403
    assert status(HEALTH, "stranger.example") == 401
    assert status(HEALTH, "stranger.example", **site.headers()) == 200
    connection = http.client.HTTPSConnection(
        "127.0.0.1", site.port, context=_client(tmp_path, "stranger.example")
    )
    connection.request(
        "POST",
        "/api/v1/session",
        f'{{"token": "{site.token()}"}}',
        {"Content-Type": "application/json"},
    )
    cookie = connection.getresponse().headers["Set-Cookie"]
    connection.close()
    assert cookie.startswith("__Host-davylamp=")
    assert "Secure" in cookie


@pytest.mark.parametrize("words", [["health", "--json"], ["top", "--once", "--json"]])
def test_the_command_line_shows_a_certificate(
    serve: Serve, authority: trustme.CA, tmp_path: Path, words: list[str]
) -> None:
    """Where the API asks everybody for one, it can be asked from a terminal all the same."""
    mine = authority.issue_cert("me.example")
    mine.private_key_pem.write_to_path(str(tmp_path / "me.key"))
    mine.cert_chain_pems[0].write_to_path(str(tmp_path / "me.pem"))
    tls = {"certificate": str(tmp_path / "api.pem"), "client_ca": str(tmp_path / "ca.pem")}
    site = serve(tls=tls)
    words += ["--url", site.url, "--state", str(site.state), "--ca", str(tmp_path / "ca.pem")]
    refused = CliRunner().invoke(main, words)
    assert refused.exit_code == 2
    words += ["--certificate", str(tmp_path / "me.pem"), "--key", str(tmp_path / "me.key")]
    told = CliRunner().invoke(main, words)
    assert json.loads(told.stdout), told.stderr


def _client(folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.load_cert_chain(folder / f"{name}.pem")
    return context


# name, configuration, part of what is said
UNFIT = [
    ("beyond loopback", ApiConfig(listen="0.0.0.0:9465"), "in the clear"),
    ("a name", ApiConfig(listen="localhost:9465"), "an address and a port"),
    ("no port", ApiConfig(listen="127.0.0.1"), "an address and a port"),
    ("no such file", ApiConfig(listen="[::1]:1", tls=ApiTlsConfig(certificate="/no")), "/no"),
    ("a key alone", ApiConfig(listen="[::1]:1", tls=ApiTlsConfig(key="/no")), "certificate"),
]


@pytest.mark.parametrize(("name", "config", "said"), UNFIT, ids=[one[0] for one in UNFIT])
def test_an_unsafe_place_is_refused(name: str, config: ApiConfig, said: str) -> None:
    """Before anything is touched, and with what to write instead."""
    with pytest.raises(ConfigError, match=said):
        listening_of(config)


def test_the_gateway_checks_it_first() -> None:
    """A gateway is not even made with an API that others could reach in the clear."""
    text = "sandboxes: {subnets: [10.0.0.0/8]}\napi: {listen: '0.0.0.0:9465'}"
    with pytest.raises(ConfigError, match=r"api\.cleartext"):
        Gateway(parse_config(text))
    assert listening_of(ApiConfig(listen="0.0.0.0:9465", cleartext=True)).tls is None


@pytest.mark.parametrize("text", ["", "short", "x" * 31, "x y" * 20, "\xff" * 40, "x" * 513])
def test_a_token_that_could_be_guessed_is_refused(tmp_path: Path, text: str) -> None:
    """Too short, too long, with blanks or not ASCII: the key and a way to make one are named."""
    file = tmp_path / "given"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"api\.token_file.*openssl rand"):
        tokens_of(ApiConfig(token_file=str(file)), tmp_path)


def test_tokens_last(tmp_path: Path) -> None:
    """What was made at the first start is there at the second; a port that is taken is named."""
    config = GatewayConfig(api=ApiConfig(listen="127.0.0.1:0"), state_dir=str(tmp_path))
    first = tokens_of(config.api, tmp_path)
    assert tokens_of(config.api, tmp_path) == first
    token = (tmp_path / "api" / "token").read_text().strip()
    assert first.scopes(token) == frozenset(Scope)
    assert first.scopes(token[:-1]) == frozenset()
    assert first.scopes("") == frozenset()

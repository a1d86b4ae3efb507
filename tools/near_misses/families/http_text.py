# /// script
# dependencies = ["aiohttp==3.14.5", "requests==2.34.2", "openai==3.54.0", "prometheus-client==0.26.0"]
# [tool.near-misses]
# debian = ["curl", "git"]
# ///
"""Stratum text in HTTP bodies: pastes, pull requests, prompts, streamed answers, git, metrics."""

import asyncio
import gzip
import json
import subprocess
from pathlib import Path

import openai
import requests
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, generate_latest
from quotes import CODE, DOCUMENT, LOG, LOGIN, MESSAGES, SUBMIT, SUBSCRIBE, TRANSCRIPT
from stage import debian, pypi, recorded, run

PORT = 8080
HERE = f"http://127.0.0.1:{PORT}"
TEXTS = {"page.md": DOCUMENT, "pool.log": LOG, "cases.py": CODE, "session.txt": TRANSCRIPT}
ANSWER = (
    f"A miner sends `{SUBSCRIBE}` first, then a share:\n\n{SUBMIT}\n\nand for Monero:\n{LOGIN}\n"
)
TOOL = {"type": "function", "function": {"name": "write_file", "parameters": {"type": "object"}}}


async def paste(request: web.Request) -> web.Response:
    """Take any body and give it back."""
    kept = await request.read()
    if request.content_type == "application/json":
        return web.json_response({"id": 1, "result": True, "kept": json.loads(kept)})
    return web.Response(body=kept, content_type="text/plain")


async def page(request: web.Request) -> web.StreamResponse:
    """Give a text: plain, chunked, or compressed, as the query says."""
    text = TEXTS[request.match_info["name"]]
    match request.query.get("as"):
        case "gzip":
            head = {"Content-Encoding": "gzip", "Content-Type": "text/plain"}
            return web.Response(body=gzip.compress(text.encode(), mtime=0), headers=head)
        case "chunked":
            answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
            await answer.prepare(request)
            for line in text.splitlines(keepends=True):
                await answer.write(line.encode())
            await answer.write_eof()
            return answer
    return web.Response(text=text)


async def complete(request: web.Request) -> web.StreamResponse:
    """Answer a chat completion, whole or streamed, in text or as a tool call."""
    asked = await request.json()
    choice: dict[str, object] = {"index": 0, "finish_reason": "stop"}
    whole = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "small"}
    if asked.get("tools"):
        written = json.dumps({"path": "session.txt", "content": TRANSCRIPT})
        function = {"name": "write_file", "arguments": written}
        calls = [{"id": "call_1", "type": "function", "function": function}]
        message = {"role": "assistant", "content": None, "tool_calls": calls}
        return web.json_response({**whole, "choices": [{**choice, "message": message}]})
    if not asked.get("stream"):
        message = {"role": "assistant", "content": ANSWER}
        return web.json_response({**whole, "choices": [{**choice, "message": message}]})
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    whole["object"] = "chat.completion.chunk"
    step = 120 if asked["model"] == "whole-lines" else 9
    for at in range(0, len(ANSWER), step):
        delta = {"role": "assistant", "content": ANSWER[at : at + step]}
        piece = {**whole, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        await answer.write(f"data: {json.dumps(piece)}\n\n".encode())
    await answer.write(b"data: [DONE]\n\n")
    await answer.write_eof()
    return answer


async def lines(request: web.Request) -> web.StreamResponse:
    """Stream server-sent events whose data are whole messages, as a log viewer does."""
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    for number, line in enumerate(MESSAGES):
        await answer.write(f"id: {number}\nevent: log\ndata: {line}\n\n".encode())
    await answer.write_eof()
    return answer


async def git(request: web.Request) -> web.Response:
    """Hand a request to git's own CGI program."""
    body = await request.read()
    environment = {
        "GIT_PROJECT_ROOT": "/mnt/work/repositories",
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": request.path.removeprefix("/git"),
        "QUERY_STRING": request.query_string,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": "",
        "REMOTE_USER": "dev",
        "PATH": "/usr/bin:/bin",
    }
    done = await asyncio.to_thread(
        subprocess.run, ["/usr/bin/git", "http-backend"], input=body, env=environment,
        capture_output=True, check=True,
    )  # fmt: skip
    head, _, rest = done.stdout.partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    status = int(fields.pop("Status", "200").split()[0])
    return web.Response(status=status, body=rest, headers=fields)


async def metrics(_: web.Request) -> web.Response:
    """Expose counters labelled with methods."""
    registry = CollectorRegistry()
    calls = Counter("rpc_calls", "Calls", ["method", "worker"], registry=registry)
    for method in ("mining.subscribe", "mining.submit", "eth_submitWork", "login", "keepalived"):
        calls.labels(method, f"{method}.rig7").inc(7)
    return web.Response(body=generate_latest(registry), content_type="text/plain")


def texts() -> None:
    """Send every text up as a body and fetch every text, with curl and with requests."""
    for name, text in TEXTS.items():
        Path(name).write_text(text)
        run(["curl", "-sf", "--data-binary", f"@{name}", "-H", "Content-Type: text/plain",
             f"{HERE}/paste"])  # fmt: skip
        run(["curl", "-sf", "-F", f"file=@{name}", f"{HERE}/paste"])
        run(["curl", "-sf", "-T", name, "-H", "Transfer-Encoding: chunked", f"{HERE}/paste"])
        for how in ("plain", "chunked", "gzip"):
            assert requests.get(f"{HERE}/pages/{name}", params={"as": how}).text == text


def reviews() -> None:
    """Open a pull request and comment on it, as a forge's API is used."""
    diff = "".join(f"+{line}\n" for line in CODE.splitlines())
    with requests.Session() as session:
        for body in (
            {"title": "Speak Stratum", "body": DOCUMENT, "head": "stratum", "base": "main"},
            {"body": LOGIN, "path": "cases.py", "position": 1},
            {"body": DOCUMENT, "files": [{"filename": "cases.py", "patch": diff}]},
            {"events": [json.loads(line) for line in MESSAGES], "job_id": "17"},
        ):
            assert session.post(f"{HERE}/paste", json=body).ok
        lines = "".join(json.dumps({"log": line}) + "\n" for line in MESSAGES)
        head = {"Content-Type": "application/x-ndjson"}
        assert session.post(f"{HERE}/paste", data=lines, headers=head).ok


def prompts() -> None:
    """Ask a model about Stratum: whole, streamed, and with a tool call that writes a session."""
    client = openai.OpenAI(base_url=f"{HERE}/v1", api_key="none")
    asked = [{"role": "user", "content": f"Explain this session:\n{TRANSCRIPT}"}]
    client.chat.completions.create(model="small", messages=asked)
    for model in ("small", "whole-lines"):
        pieces = client.chat.completions.create(model=model, messages=asked, stream=True)
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == ANSWER
    called = client.chat.completions.create(model="small", messages=asked, tools=[TOOL])
    call = called.choices[0].message.tool_calls[0]
    answered = [
        *asked,
        {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]},
        {"role": "tool", "tool_call_id": call.id, "content": TRANSCRIPT},
    ]
    client.chat.completions.create(model="small", messages=answered)


def push() -> None:
    """Push a repository that quotes Stratum, and clone it."""
    run(["git", "init", "-q", "--bare", "/mnt/work/repositories/pool.git"])
    run(["git", "-C", "/mnt/work/repositories/pool.git", "config", "http.receivepack", "true"])
    work = Path("/mnt/work/pool")
    run(["git", "init", "-q", "-b", "main", work])
    for name, text in TEXTS.items():
        (work / name).write_text(text)
    run(["git", "add", "-A"], cwd=work)
    who = ["-c", "user.name=dev", "-c", "user.email=dev@example.org"]
    run(["git", *who, "commit", "-q", "-m", f"Quote a session\n\n{TRANSCRIPT}"], cwd=work)
    with recorded(
        "git-http",
        software=[debian("git"), pypi("aiohttp")],
        does="pushes a repository to git-http-backend and clones it",
        near="commit message and files quote Stratum line by line, in packs",
    ):
        run(["git", "push", "-q", f"{HERE}/git/pool.git", "main"], cwd=work)
        run(["git", "clone", "-q", f"{HERE}/git/pool.git", "/mnt/work/clone"])


def record() -> None:
    """Record the family against the running server."""
    server = pypi("aiohttp")
    with recorded(
        "http-texts",
        software=[debian("curl"), pypi("requests"), server],
        does="documents, logs, code and saved sessions go up and down, plain, chunked, gzipped",
        near="bodies have whole Stratum messages on lines of their own",
    ):
        texts()
    with recorded(
        "http-reviews",
        software=[pypi("requests"), server],
        does="pull requests, comments and events as JSON and as JSON lines",
        near="members quote messages, or hold them as objects in a list",
    ):
        reviews()
    with recorded(
        "http-prompts",
        software=[pypi("openai"), server],
        does="chat completions: whole, streamed, and with a tool call and its result",
        near="prompts, streamed deltas and tool arguments are Stratum sessions",
    ):
        prompts()
    with recorded(
        "http-events",
        software=[debian("curl"), server],
        does="a log viewer follows server-sent events",
        near="each event's data is a whole message of a miner or a pool",
    ):
        run(["curl", "-sfN", f"{HERE}/events"])
    with recorded(
        "prometheus",
        software=[pypi("prometheus-client"), debian("curl"), server],
        does="a scrape of metrics",
        near="labels are the methods of a pool, and workers' names",
    ):
        run(["curl", "-sf", f"{HERE}/metrics"])
    push()


async def main() -> None:
    """Serve, and record in a thread."""
    site = web.Application(client_max_size=2**24)
    site.router.add_route("*", "/paste", paste)
    site.router.add_get("/pages/{name}", page)
    site.router.add_post("/v1/chat/completions", complete)
    site.router.add_get("/events", lines)
    site.router.add_get("/metrics", metrics)
    site.router.add_route("*", "/git/{rest:.*}", git)
    runner = web.AppRunner(site)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", PORT).start()
    await asyncio.to_thread(record)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())

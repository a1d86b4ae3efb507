"""A small client of the Kubernetes API: pods listed and watched, labels, deletion, one policy.

Every answer is read up to a bound and within a time. Whatever fails is an EngineError. Paths and
bodies are those of kubernetes.io/docs/reference/kubernetes-api, v1.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import msgspec

from davylamp.engines.kubernetes_model import Metadata, Pod, Pods, Trouble, WatchEvent
from davylamp.engines.reading import AnswerTooLargeError, bounded, lines, printable
from davylamp.errors import ConfigError, EngineError

ANSWER_BYTES = 8 * 1024 * 1024
POLICY = "davylamp-quarantine"
_MERGE = "application/merge-patch+json"
_JSON = "application/json"
_MESSAGE = 200
LINE_BYTES = 2 * 1024 * 1024
"""A pod as it is in a watch; etcd takes no object larger than 1.5 MiB."""
_PAGE = 500
_MOST = 100_000
_LISTS = 3
"""How often one list is begun again because its rest is no longer kept."""
_WATCH = 300


GONE = 410
"""The history that was asked for is no longer kept: list again."""


class KubernetesApi:
    """One API server. ``seconds`` bound each answer.

    ``token_file`` is read for every request, for tokens are renewed in place; an empty one means no
    token. ``ca`` is the PEM file of the authority that vouches for the server, empty for the
    system's.
    """

    def __init__(self, url: str, *, token_file: str, ca: str, seconds: float) -> None:
        self._url = url.rstrip("/")
        self._token_file = token_file
        self._ca = ca
        self._seconds = seconds
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._session: aiohttp.ClientSession | None = None
        self._page = _PAGE
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise ConfigError(f"{url!r} names no Kubernetes API; write https://HOST:6443")

    async def pods_at(self, address: str) -> tuple[Pod, ...]:
        """Return the pods that have an address."""
        query = f"fieldSelector={quote(f'status.podIP={address}', safe='')}"
        _, answer = await self._send("GET", f"/api/v1/pods?{query}")
        return self._read(answer, Pods).items

    async def pods(self, namespace: str = "", selector: str = "") -> Pods:
        """Return all pods of a namespace, or of all, that a label selector selects."""
        for _ in range(_LISTS):
            items: list[Pod] = []
            more = ""
            while found := await self._some(namespace, selector, more):
                items += found.items
                more = found.metadata.more
                if len(items) > _MOST:
                    raise EngineError(f"more than {_MOST} pods; name a namespace or a selector")
                if not more:
                    return Pods(metadata=found.metadata, items=tuple(items))
        raise EngineError("the list of pods takes too long; name a namespace or a selector")

    async def _some(self, namespace: str, selector: str, more: str) -> Pods | None:
        """Return the next page of a list, or None where the rest of it is no longer kept.

        How many pods fit an answer depends on what they carry: where too many were asked for, half
        of them are, and so from then on.
        """
        while True:
            query = {"limit": str(self._page), "labelSelector": selector, "continue": more}
            try:
                status, answer = await self._send("GET", _pods(namespace, query), also=(GONE,))
            except AnswerTooLargeError:
                if self._page == 1:
                    raise
                self._page //= 2
                continue
            return None if status == GONE else self._read(answer, Pods)

    async def watch(
        self, version: str, namespace: str = "", selector: str = ""
    ) -> AsyncIterator[tuple[str, Pod]]:
        """Yield changes to those pods after a resource version, with bookmarks, for some minutes.

        The end is a plain return. A type of ``ERROR`` says that the history is no longer there.
        """
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "labelSelector": selector,
            "timeoutSeconds": str(_WATCH),
        }
        where = self._url + _pods(namespace, query)
        headers = self._headers(_JSON)
        try:
            async with asyncio.timeout(self._seconds):
                response = await self._opened().get(
                    where,
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=2 * _WATCH),
                    allow_redirects=False,
                )
            async with response:
                if response.status == GONE:
                    yield "ERROR", Pod()
                    return
                if response.status != 200:
                    said = (await bounded(response, ANSWER_BYTES)).decode("utf-8", "replace")
                    raise _refused("GET", response.status, said)
                async for line in lines(response.content.iter_any(), LINE_BYTES):
                    yield self._change(line)
        except aiohttp.ClientPayloadError:
            return  # the server went away in the middle of the stream
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise EngineError(f"the Kubernetes API {self._url} does not answer: {error}") from error

    def _change(self, line: bytes) -> tuple[str, Pod]:
        """Return a line of a watch; what cannot be read is as a history that is not there."""
        try:
            event = msgspec.json.decode(line, type=WatchEvent)
            if event.type == "ERROR":
                trouble = msgspec.json.decode(event.object, type=Trouble)
                if trouble.code != GONE:
                    raise _refused("GET", trouble.code, trouble.message)
                return "ERROR", Pod()
            return event.type, msgspec.json.decode(event.object, type=Pod)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return "ERROR", Pod()

    def _read[T](self, answer: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise EngineError(f"{self._url} sent what is not its API: {error}") from error

    async def label(self, pod: Metadata, name: str, value: str | None) -> bool:
        """Give a pod a label, or take it away; False where the pod is gone."""
        # With its uid in the patch, a pod of the same name that is another is a conflict.
        body = {"metadata": {"uid": pod.uid, "labels": {name: value}}}
        status, _ = await self._send("PATCH", _path(pod), body, kind=_MERGE, also=(404, 409))
        return status < 300

    async def delete(self, pod: Metadata) -> bool:
        """Delete a pod; False where it is gone."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": pod.uid}}
        status, _ = await self._send("DELETE", _path(pod), body, also=(404, 409))
        return status < 300

    async def refuse_egress(self, namespace: str, label: str) -> None:
        """Have pods of a namespace with a label send nothing; again does nothing."""
        body = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": POLICY},
            "spec": {
                "podSelector": {"matchExpressions": [{"key": label, "operator": "Exists"}]},
                "policyTypes": ["Egress"],
                "egress": [],
            },
        }
        where = f"/apis/networking.k8s.io/v1/namespaces/{quote(namespace, safe='')}/networkpolicies"
        await self._send("POST", where, body, also=(409,))

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        kind: str = _JSON,
        also: tuple[int, ...] = (),
    ) -> tuple[int, bytes]:
        """Return an answer of 2xx or a status in ``also``; raise EngineError on any other."""
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with self._opened().request(
                method,
                self._url + path,
                data=data,
                headers=self._headers(kind),
                allow_redirects=False,
            ) as response:
                answer = await bounded(response, ANSWER_BYTES)
                if 200 <= response.status < 300 or response.status in also:
                    return response.status, answer
                refused = _refused(method, response.status, answer.decode("utf-8", "replace"))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise EngineError(f"the Kubernetes API {self._url} does not answer: {error}") from error
        raise refused

    def _headers(self, kind: str) -> Mapping[str, str]:
        headers = {"Content-Type": kind, "Accept": _JSON}
        if self._token_file:
            try:
                token = Path(self._token_file).read_text(encoding="ascii").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise EngineError(f"no token for the Kubernetes API: {error}") from error
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            trust = ssl.create_default_context(cafile=self._ca or None)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=trust),
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session


def _refused(method: str, status: int, said: str) -> EngineError:
    shown = printable(said, _MESSAGE)
    return EngineError(f"the Kubernetes API refused {method}: HTTP {status} {shown}")


def _pods(namespace: str, query: Mapping[str, str]) -> str:
    """Return where pods are asked for; what is empty in the query is left out."""
    inside = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    told = urlencode({name: value for name, value in query.items() if value})
    return f"/api/v1{inside}/pods?{told}"


def _path(pod: Metadata) -> str:
    namespace, name = quote(pod.namespace, safe=""), quote(pod.name, safe="")
    return f"/api/v1/namespaces/{namespace}/pods/{name}"

"""A small client of the Kubernetes API: pods by address, labels, deletion, one network policy.

Every answer is read up to a bound and within a time. Whatever fails is an EngineError. Paths and
bodies are those of kubernetes.io/docs/reference/kubernetes-api, v1.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec

from davylamp.errors import ConfigError, EngineError

ANSWER_BYTES = 8 * 1024 * 1024
POLICY = "davylamp-quarantine"
_MERGE = "application/merge-patch+json"
_JSON = "application/json"
_MESSAGE = 200


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """ObjectMeta: what names a pod, once and for all by its ``uid``."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] | None = None


class Pod(msgspec.Struct, frozen=True):
    """A pod."""

    metadata: Metadata = Metadata()


class _Pods(msgspec.Struct, frozen=True):
    items: tuple[Pod, ...] = ()


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
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._session: aiohttp.ClientSession | None = None
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise ConfigError(f"actions.kubernetes.url is {url!r}; write https://HOST:6443")

    async def pods_at(self, address: str) -> tuple[Pod, ...]:
        """Return the pods that have an address."""
        query = f"fieldSelector={quote(f'status.podIP={address}', safe='')}"
        _, answer = await self._send("GET", f"/api/v1/pods?{query}")
        try:
            return msgspec.json.decode(answer, type=_Pods).items
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
                answer = await response.content.read(ANSWER_BYTES)
                if 200 <= response.status < 300 or response.status in also:
                    return response.status, answer
                said = answer[:_MESSAGE].decode("utf-8", "replace")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise EngineError(f"the Kubernetes API {self._url} does not answer: {error}") from error
        shown = "".join(one if one.isprintable() else " " for one in said)
        raise EngineError(f"the Kubernetes API refused {method}: HTTP {response.status} {shown}")

    def _headers(self, kind: str) -> Mapping[str, str]:
        headers = {"Content-Type": kind, "Accept": _JSON}
        if self._token_file:
            token = Path(self._token_file).read_text(encoding="ascii").strip()
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


def _path(pod: Metadata) -> str:
    namespace, name = quote(pod.namespace, safe=""), quote(pod.name, safe="")
    return f"/api/v1/namespaces/{namespace}/pods/{name}"

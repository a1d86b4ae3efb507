"""What one flow is inspected by: the pack that it begins with, one on trial, and where it goes.

mitmproxy shows a flow in parts (a ClientHello, requests, messages), and most of them begin with an
Inspector of their own. All are made here, so that each knows where the flow goes, and so that what
a pack on trial is shown is what the live one is shown.
"""

import time
from dataclasses import dataclass
from functools import lru_cache

from davylamp.inspection.beside import Trial, asked
from davylamp.inspection.finding import Finding
from davylamp.inspection.inspector import InspectionLimits, Inspector, inspect_certificate
from davylamp.inspection.wire.tls import ClientHello
from davylamp.signatures.certificates import CertificateIndex
from davylamp.signatures.model import CertificateCondition, EndpointCondition
from davylamp.signatures.pack import Pack

_LIMITS = InspectionLimits()
_WHOM = (EndpointCondition, CertificateCondition)
_ANSWERS = 64


@dataclass(frozen=True, slots=True)
class Assay:
    """``endpoint`` is where the flow goes if a pack lists it: a packed address with its port.

    ``certificate`` is what the server showed, in DER, if that meets anything of a pack's.
    ``hello`` is that of the TLS around, if it is part of a combination of a pack's.
    ``trial`` is that of a pack beside the live one, if this flow is on it.
    """

    pack: Pack
    endpoint: bytes = b""
    certificate: bytes = b""
    hello: ClientHello | None = None
    trial: Trial | None = None

    @property
    def bare(self) -> bool:
        """Whether the live pack alone is asked, and of nothing but what is said."""
        led = self.endpoint or self.certificate or self.hello
        return self.trial is None and not led

    @property
    def packs(self) -> tuple[Pack, ...]:
        """All that are asked."""
        return asked(self.pack, self.trial)

    def inspector(self, *, measured: bool = False) -> Inspector:
        """Return what the next part of the flow is shown to.

        ``measured`` says that it is a stream from its beginning, as it was sent.
        """
        trial, pack = self.trial, self.pack
        inspector = Inspector(pack, _LIMITS) if trial is None else trial.beside(pack, _LIMITS)
        if not measured:
            inspector.unmeasured()
        return self._led(inspector)

    def alone(self) -> Inspector:
        """Return what is asked what would be found, without the trial."""
        inspector = Inspector(self.pack, _LIMITS)
        inspector.unmeasured()
        return self._led(inspector)

    def certified(self) -> tuple[Finding, ...]:
        """Return what the server's certificate tells by itself."""
        if not self.certificate:
            return ()
        found = inspect_certificate(self.pack, self.certificate)
        if self.trial is not None:
            self.trial.certified(self.certificate, found)
        return found

    def _led(self, inspector: Inspector) -> Inspector:
        if self.endpoint:
            inspector.reach(self.endpoint, time.time())
        if self.hello is not None:
            inspector.greeted(self.hello)
        if self.certificate:
            inspector.certified(self.certificate)
        return inspector


def heard(found: tuple[Finding, ...]) -> bool:
    """Tell whether anything was found in what was said, and not only in whom it is said to."""
    return any(not isinstance(one.signature.condition, _WHOM) for one in found)


@lru_cache(maxsize=_ANSWERS)
def meets(certificates: CertificateIndex, der: bytes) -> bool:
    """Tell whether a certificate meets anything of a pack's; asked for each part of a flow."""
    return bool(certificates.match(certificates.read(der)))

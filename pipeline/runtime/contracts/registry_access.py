"""How a deployment is let in by its schema registry: a name and a password, an authority of its own, a certificate.

PIPELINE_REGISTRY_BASIC_AUTH_USER_INFO       user:password
PIPELINE_REGISTRY_SSL_CA_LOCATION            file of the authority that signed the registry's certificate (PEM)
PIPELINE_REGISTRY_SSL_CERTIFICATE_LOCATION   our own certificate, when the registry asks for one (PEM)
PIPELINE_REGISTRY_SSL_KEY_LOCATION           its key, unless that is in the same file
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pipeline.errors import AccessRefused, WrongUse

PREFIX: Final = "PIPELINE_REGISTRY_"
USER_INFO: Final = "basic.auth.user.info"
CA: Final = "ssl.ca.location"
CERTIFICATE: Final = "ssl.certificate.location"
KEY: Final = "ssl.key.location"
NAMES: Final = (USER_INFO, CA, CERTIFICATE, KEY)
REFUSING: Final = (401, 403)
"""HTTP: not known, or not allowed."""


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """Settings of the registry's client, by the names that Confluent's client has for them. Shows no values."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    @staticmethod
    def read(env: Mapping[str, str] | None = None) -> RegistryAccess:
        """Of an environment (default: our own). Raises WrongUse for a name it does not know and for unusable values."""
        values = {}
        for variable, value in sorted((os.environ if env is None else env).items()):
            if not variable.startswith(PREFIX) or not value:
                continue
            name = variable.removeprefix(PREFIX).lower().replace("_", ".")
            if name not in NAMES:
                raise WrongUse(f"{variable}: there is no such setting: one of {', '.join(map(variable_of, NAMES))}")
            values[name] = value
        access = RegistryAccess(values)
        if USER_INFO in values and ":" not in values[USER_INFO]:
            raise WrongUse(f"{variable_of(USER_INFO)}: it must be user:password")
        if KEY in values and CERTIFICATE not in values:
            raise WrongUse(f"{variable_of(KEY)} is set, but {variable_of(CERTIFICATE)} is not")
        try:
            access.context()
        except OSError as error:  # SSLError is one
            named = ", ".join(variable_of(name) for name in NAMES[1:] if name in values)
            raise WrongUse(f"{named}: {error.strerror or error}") from None
        return access

    def context(self) -> ssl.SSLContext:
        """For TLS to the registry. Raises OSError."""
        context = ssl.create_default_context(cafile=self.values.get(CA))
        if CERTIFICATE in self.values:
            # Without a password: what is locked with one is refused, and not asked for at the terminal.
            context.load_cert_chain(self.values[CERTIFICATE], self.values.get(KEY), password="")
        return context

    def refused(self, url: str, why: str) -> AccessRefused:
        """The error for a registry that does not let us in, or whose certificate is not trusted."""
        names = (CA, CERTIFICATE) if "certificate" in why.lower() else (USER_INFO,)
        words = [variable_of(name) + ("" if name in self.values else " (not set)") for name in names]
        return AccessRefused("The schema registry", url, why, f"Correct {', '.join(words)}.")


PLAIN: Final = RegistryAccess()
"""As to an embedded registry."""


def variable_of(name: str) -> str:
    """`ssl.ca.location` → `PIPELINE_REGISTRY_SSL_CA_LOCATION`."""
    return PREFIX + name.replace(".", "_").upper()


def registry_answers(url: str, timeout_s: float, access: RegistryAccess = PLAIN) -> bool:
    """Whether a schema registry lists its subjects at ``url`` within ``timeout_s`` seconds. Raises AccessRefused."""
    request = urllib.request.Request(f"{url.rstrip('/')}/subjects")
    if USER_INFO in access.values:
        word = base64.b64encode(access.values[USER_INFO].encode()).decode()
        request.add_header("Authorization", f"Basic {word}")
    context = access.context() if url.startswith("https:") else None
    try:
        with urllib.request.urlopen(request, timeout=timeout_s, context=context) as response:
            return isinstance(json.load(response), list)
    except urllib.error.HTTPError as error:
        if error.code in REFUSING:
            raise access.refused(url, f"it answers {error.code} {error.reason}") from error
        return False
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise access.refused(url, error.reason.verify_message or "its certificate is not trusted") from error
        return False
    except (OSError, ValueError):
        return False

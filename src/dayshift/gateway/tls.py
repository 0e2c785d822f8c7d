"""The gateway's own certificate, for where no proxy speaks TLS in front of it."""

import ssl
from pathlib import Path

from dayshift.domain.errors import WrongUse


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """What the gateway answers TLS with: 1.2 or newer. Raises `WrongUse` that says what is wrong with the files."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise WrongUse(
            f"DAYSHIFT_TLS_CERT={certificate} and DAYSHIFT_TLS_KEY={key} are no certificate and its key in PEM "
            f"({error.reason or error}): give the certificate with its chain, and the key without a password"
        ) from error
    except OSError as error:
        raise WrongUse(
            f"DAYSHIFT_TLS_CERT={certificate} or DAYSHIFT_TLS_KEY={key} cannot be read ({error.strerror or error}): "
            "name files that this user may read"
        ) from error
    return context

"""Whom a client believes to be its gateway."""

import ssl

from dayshift.config import Config
from dayshift.domain.errors import WrongUse

_FIRST_ENDS = "-----END CERTIFICATE-----"


def trusted(config: Config, url: str | None) -> ssl.SSLContext | bool:
    """What httpx2 takes as `verify`. At an address that was given: the authorities that the system trusts.

    At this machine's own gateway: the very certificate that DAYSHIFT_TLS_CERT names and no other, whatever host it was made
    for, as here it is reached by another name than from outside. Raises `WrongUse` for a file that holds none.
    """
    if url is not None or config.tls_cert is None:
        return True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        text = config.tls_cert.read_text()
        context.load_verify_locations(cadata=text[: text.index(_FIRST_ENDS)] + _FIRST_ENDS)
    except (OSError, ValueError, ssl.SSLError) as error:
        raise WrongUse(
            f"DAYSHIFT_TLS_CERT={config.tls_cert} cannot be read ({error}): name the PEM file that the gateway has"
        ) from error
    return context

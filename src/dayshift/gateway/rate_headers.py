"""`RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers): what may still be asked, as structured fields.

`r` requests may be sent within the next `t` seconds, and after those all of `q` again: so `t` is when the window is empty.
`Retry-After` of a refusal may be sooner: then the same request fits.
"""

from dayshift.gateway.replies import Headers, header
from dayshift.tasks.rates import Quota


def rate_headers(quotas: tuple[Quota, ...]) -> Headers:
    """One item a limit: of several users in a batch, the one that has least left."""
    by_name: dict[str, Quota] = {}
    for quota in quotas:
        known = by_name.get(quota.name)
        if known is None or quota.left < known.left:
            by_name[quota.name] = quota
    if not by_name:
        return ()
    shown = by_name.values()
    return [
        header("ratelimit", ", ".join(f'"{one.name}";r={one.left};t={one.seconds_to_full}' for one in shown)),
        header("ratelimit-policy", ", ".join(f'"{one.name}";q={one.quota};w={one.window_seconds}' for one in shown)),
    ]

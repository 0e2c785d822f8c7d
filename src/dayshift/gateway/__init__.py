"""gateway/: the HTTP door. It knows statuses, headers and frames, and leaves everything else to the services below.

Read in this order: `door` (one request, one answer), `routes` and `table` (what can be asked for), `auth` (whose request
it is), `bodies` and `problems` (what comes in, and what is said when it may not), `tasks`, `events`, then the rest.
"""

from dayshift.gateway.build import Gateway, GatewayServices, build_app
from dayshift.gateway.drain import Drain
from dayshift.gateway.server import serve
from dayshift.gateway.tls import server_context

__all__ = ["Drain", "Gateway", "GatewayServices", "build_app", "serve", "server_context"]

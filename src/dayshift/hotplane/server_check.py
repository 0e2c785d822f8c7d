"""Is this a server that the plane can live on? Asked once, when a plane is opened."""

from dayshift.domain.errors import WrongUse
from dayshift.hotplane.connection import Wire

OLDEST = (7, 0)


async def check_server(wire: Wire) -> None:
    """`WrongUse` with the cure for a server that is too old, evicts keys, is a replica or part of a cluster.

    INFO tells all of it, also where CONFIG is forbidden.
    """
    info = (await wire.ask(b"INFO")).decode()
    facts = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    server = wire.address.name
    if facts.get("cluster_enabled") == "1":
        raise WrongUse(f"Valkey at {server} runs in cluster mode, which comes later; give one primary, or sentinels")
    if facts.get("role", "master") != "master":
        raise WrongUse(f"Valkey at {server} is a replica; give the primary in DAYSHIFT_VALKEY_URL, or sentinels")
    version = facts.get("redis_version", "0")  # Valkey says here which Redis it is compatible with
    if tuple(int(number) for number in version.split(".")[:2]) < OLDEST:
        raise WrongUse(f"the server at {server} is Redis {version}; dayshift needs Valkey, or Redis from 7.0")
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise WrongUse(
            f"Valkey at {server} evicts keys (maxmemory-policy {policy}), and tasks would vanish from their queues; "
            "run `CONFIG SET maxmemory-policy noeviction` and put it into its configuration"
        )

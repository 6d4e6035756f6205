"""How many connections fit into the descriptors that the process may have.

Without a descriptor left, accepting fails at once and is tried again at once, and the database cannot be opened; so
connections must run out first.
"""

import logging
import resource

# A worker holds at most this many connections, if the process may have as many descriptors.
CONNECTIONS = 16_384
# Descriptors that are not clients' connections: database, logs, listeners. HTTP has as many at the least.
SPARE_DESCRIPTORS = 256

logger = logging.getLogger(__name__)


def allow_connections(websockets: int) -> int:
    """Allow as many descriptors as the system lets us, and return the number of HTTP connections that fit into them.

    ``websockets``, at the most, are open beside them: Granian gives a connection's permit back once it is one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = SPARE_DESCRIPTORS + websockets
    wanted = CONNECTIONS + spare
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS
    if (fitting := websockets_that_fit(websockets)) < websockets:
        logger.warning("A process may open %d files, so it holds %d WebSockets, not %d.", soft, fitting, websockets)
    return max(SPARE_DESCRIPTORS, min(CONNECTIONS, soft - spare))


def websockets_that_fit(wanted: int) -> int:
    """Return how many WebSockets fit beside the fewest HTTP connections: so many as are ``wanted``, or fewer."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(0, min(wanted, soft - 2 * SPARE_DESCRIPTORS))

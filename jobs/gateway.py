"""py4j's client in, the same one out, which keeps each of our threads to one thread of the JVM.

A connection of py4j is a thread of the JVM, and it gives a free one to whoever asks. A second one
comes to be where an object is collected, or Java calls back, in the middle of a call; then the next
call may run in another thread. Flink's planner keeps things by thread, and fails there, once in
some thousand plans (FLINK-23020: `metadataHandlerProvider`).
"""

import threading
from typing import Any

from pyflink.java_gateway import get_gateway


class _Own(threading.local):
    connection: Any = None
    is_free = False


def keep_to_threads() -> None:
    """Of this process's client; a second time changes nothing."""
    client: Any = get_gateway()._gateway_client
    if hasattr(client, "own"):
        return
    own = client.own = _Own()
    take, give_back = client._get_connection, client._give_back_connection

    def taken() -> Any:
        if own.connection is None:
            own.connection = take()
        elif own.is_free:
            own.is_free = False
        else:  # in the middle of a call of this thread
            return take()
        return own.connection

    def given_back(connection: Any) -> None:
        if connection is own.connection:
            own.is_free = True
        else:
            give_back(connection)

    client._get_connection, client._give_back_connection = taken, given_back

"""The process that reads documents: `connectors.reading` says what goes in and out.

It has nothing to lose: no secrets in its environment, a bound of memory, and an alarm that ends it
in the middle of whatever a document makes it do.
"""

import contextlib
import json
import os
import resource
import signal
import struct
import sys
from dataclasses import asdict
from typing import Any, BinaryIO

MEMORY_BYTES = 1_536 * 1024 * 1024
ALARM_S = 60
LENGTHS = struct.Struct("!II")


def main() -> None:
    # What a library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(ValueError, OSError):  # not every system has this bound
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.setrecursionlimit(2_000)
    while (request := _request(sys.stdin.buffer)) is not None:
        signal.alarm(ALARM_S)
        answer = json.dumps(_answer(*request)).encode()
        signal.alarm(0)
        answers.write(LENGTHS.pack(len(answer), 0) + answer)
        answers.flush()


def _request(requests: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    lengths = requests.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    head, body = LENGTHS.unpack(lengths)
    return json.loads(requests.read(head)), requests.read(body)


def _answer(head: dict[str, Any], body: bytes) -> dict[str, Any]:
    from connectors.documents import Unreadable, read
    from connectors.web import Page

    asked = head.pop("asked")
    try:
        return {"document": asdict(read(Page(**head, body=body), asked))}
    except Unreadable as error:
        return {"reason": error.reason, "message": str(error)}
    except MemoryError:
        return {"reason": "too_large", "message": "to read it takes more memory than is given"}
    except Exception as error:  # whatever a stranger's bytes make a library raise
        return {"reason": "unreadable", "message": f"it cannot be read ({type(error).__name__})"}


if __name__ == "__main__":
    main()

"""A chat model that always says the same, after a time that is set: requests in, one reply out.

    python -m tests.bench.model_server --delay 0.2 [--slow-share 0.01 --slow-delay 3]

Bare asyncio, because the machine's two cores belong to what is measured. It prints its port.
"""

import argparse
import asyncio
import json
from itertools import count

REPLY = {"summary": "two sentences about what was asked", "score": 7}
BODY = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 0,
        "model": "bench",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": json.dumps(REPLY)},
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }
).encode()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
ANSWER = HEAD % len(BODY) + BODY


class Model:
    """Every `1 / slow_share`-th answer takes `slow_s` seconds, the others `delay_s`."""

    def __init__(self, delay_s: float, slow_share: float = 0.0, slow_s: float = 0.0) -> None:
        self.delay_s, self.slow_s = delay_s, slow_s
        self._every = round(1 / slow_share) if slow_share else 0
        self._number = count(1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                _, _, rest = head.partition(b"content-length:")
                await reader.readexactly(int(rest.split(b"\r\n", 1)[0] or 0) if rest else 0)
                slow = self._every and next(self._number) % self._every == 0
                await asyncio.sleep(self.slow_s if slow else self.delay_s)
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.2)
    parser.add_argument("--slow-share", type=float, default=0.0)
    parser.add_argument("--slow-delay", type=float, default=3.0)
    given = parser.parse_args()
    model = Model(given.delay, given.slow_share, given.slow_delay)
    server = await asyncio.start_server(model.serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

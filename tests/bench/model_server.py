"""A chat model that always says the same, after a time that is set: requests in, one reply out.

    python -m tests.bench.model_server --delay 0.2 --slow-delay 3

`PUT /slow/100` makes every 100th answer a slow one, `PUT /slow/0` none, which is how it starts.
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
    """Every `slow_every`-th answer takes `slow_s` seconds, the others `delay_s`."""

    def __init__(self, delay_s: float, slow_s: float) -> None:
        self.delay_s, self.slow_s = delay_s, slow_s
        self._slow_every, self._number = 0, count(1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"PUT /slow/"):
                    self._slow_every = int(head.split()[1].rpartition(b"/")[2])
                    writer.write(HEAD % 0)
                    continue
                _, _, rest = head.lower().partition(b"content-length:")
                await reader.readexactly(int(rest.split(b"\r\n", 1)[0] or 0) if rest else 0)
                slow = self._slow_every and next(self._number) % self._slow_every == 0
                await asyncio.sleep(self.slow_s if slow else self.delay_s)
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.2)
    parser.add_argument("--slow-delay", type=float, default=3.0)
    given = parser.parse_args()
    model = Model(given.delay, given.slow_delay)
    server = await asyncio.start_server(model.serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

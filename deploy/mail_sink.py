"""SMTP messages in, one `.eml` file each out: the mailbox of the local stack.

A message's file has its final name, on disk, before the sender reads 250; so the folder is exactly
what was accepted. The envelope stands in `X-MailFrom` and `X-RcptTo` headers on top. A file's name
begins with the time of acceptance and a counter, so that sorting by name is sorting by time.

`python -m deploy.mail_sink --folder FOLDER --port PORT`, or in a test:

    with MailSink(folder) as sink:
        sink.misbehave("451 try later", "hang")
        ...  # talk to sink.url
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

MAX_MESSAGE_BYTES = 32 * 1024 * 1024


class Mailbox:
    """aiosmtpd's handler: writes accepted messages, or does what `faults` says instead.

    A fault is used up by one message. A reply such as "421 busy", "450 later" or "550 no such
    user" is given at RCPT; "lost" keeps the message and closes the connection without the 250;
    "crash" closes it and keeps nothing; "hang" never answers the final dot.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: deque[str] = deque()
        self._accepted = 0
        folder.mkdir(parents=True, exist_ok=True)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.faults and self.faults[0][:3].isdigit():
            return self.faults.popleft()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        fault = self.faults.popleft() if self.faults else ""
        if fault == "hang":
            await asyncio.Event().wait()
        if fault != "crash":
            self._write(envelope)
        if fault and isinstance(server.transport, asyncio.WriteTransport):
            server.transport.abort()
        return "250 OK: message accepted"

    def _write(self, envelope: Envelope) -> None:
        self._accepted += 1
        now = time.time()
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now))
        name = f"{stamp}.{int(now * 1e6) % 1_000_000:06d}Z-{self._accepted:07d}-{os.getpid()}.eml"
        content = envelope.original_content or b""
        top = f"X-MailFrom: {envelope.mail_from}\r\nX-RcptTo: {', '.join(envelope.rcpt_tos)}\r\n"
        unfinished = self.folder / f".{name}.part"
        with unfinished.open("wb") as file:
            file.write(top.encode("utf-8", "surrogateescape") + content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(self.folder / name)


class MailSink:
    """The sink in this process, on a thread of its own; for tests and for the command below."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.mailbox = Mailbox(folder)
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mail-sink")
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def messages(self) -> list[Path]:
        """Files of the accepted messages, oldest first."""
        return sorted(self.mailbox.folder.glob("*.eml"))

    def misbehave(self, *faults: str) -> None:
        """What to do with the next messages, in order; see `Mailbox`."""
        self.mailbox.faults.extend(faults)

    def __enter__(self) -> MailSink:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        def connection() -> SMTP:
            return SMTP(
                self.mailbox,
                data_size_limit=MAX_MESSAGE_BYTES,
                enable_SMTPUTF8=True,
                hostname="localhost",
                ident="Tidemill mail sink",
                loop=self._loop,
            )

        return await self._loop.create_server(connection, "127.0.0.1", self.port)

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def _serve(options: Any) -> None:
    from deploy.server_process import wait_for_stop

    with MailSink(options.folder, options.port) as sink:
        print(f"SMTP sink on {sink.url}, messages in {options.folder}", flush=True)
        wait_for_stop()


if __name__ == "__main__":
    from deploy.server_process import arguments

    _serve(arguments("SMTP sink of the local stack"))

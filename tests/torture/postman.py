"""SMTP messages in, `.eml` files out, or what is told for that recipient: the local stack's sink.

The real sink of the stack, whose faults are for the next message, whoever's; here they are for the
next messages to an address, because many mails are on their way at once.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.mail_sink import Mailbox, MailSink


class Postman(Mailbox):
    """`faults` by recipient; each is used up by one message."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.told: dict[str, deque[str]] = {}

    def tell(self, faults: Mapping[str, tuple[str, ...]]) -> None:
        for recipient, which in faults.items():
            self.told.setdefault(recipient, deque()).extend(which)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        told = self.told.get(address, ())
        if told and told[0][:3].isdigit():
            return self.told[address].popleft()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        told = self.told.get(envelope.rcpt_tos[0])
        fault = told.popleft() if told else ""
        if fault == "hang":
            await asyncio.Event().wait()
        if fault != "crash":
            self._write(envelope)
        if fault and isinstance(server.transport, asyncio.WriteTransport):
            server.transport.abort()
        return "250 OK: message accepted"


def sink(folder: Path) -> tuple[MailSink, Postman]:
    """The sink, to be entered, and the postman in it."""
    made, postman = MailSink(folder), Postman(folder)
    made.mailbox = postman
    return made, postman

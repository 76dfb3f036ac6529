"""Parked mails in, what a person sees of them out: a list, and how to look for each.

On a terminal this is a table, of four columns where it is narrow; elsewhere every mail is a line of
tab-separated fields. What strangers wrote is shown and not obeyed.
"""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from connectors.smtp import message_id
from jobs.desk_view import WIDE
from jobs.errors import one_line, shortened
from jobs.parked_mails import ParkedMail
from jobs.terminal import utc_time

UNKNOWN = "(its outcome is on no topic)"


def print_mails(console: Console, team: str, mails: Sequence[ParkedMail], sender: str) -> None:
    """Each with whom it was for and why it waits; below, what to look for at the mail server."""
    if not console.is_terminal:
        for mail in mails:
            print("\t".join(_row(mail, sender)))
        return
    console.print((_wide if console.width >= WIDE else _narrow)(team, mails))
    console.print("Look for these at the mail server, in its log or in the mailbox (Message-ID):")
    for mail in mails:
        found = message_id(mail.effect_id, sender)
        console.print(Text(f"{mail.short}  {one_line(found)}"), soft_wrap=True)


def _wide(team: str, mails: Sequence[ParkedMail]) -> Table:
    table = Table(expand=True)
    for heading in ("id", "since (UTC)"):
        table.add_column(heading, no_wrap=True)
    for heading in ("job", "key"):
        table.add_column(heading, overflow="ellipsis", no_wrap=True, max_width=16)
    for heading in ("to", "subject", "why"):
        table.add_column(heading, overflow="fold", ratio=1)
    for mail in mails:
        when, told = utc_time(mail.since_ms, short=True), (_to(mail), _subject(mail))
        row = (mail.short, when, _job(team, mail), _key(mail), *told, mail.why)
        table.add_row(*map(Text, row))
    return table


def _narrow(team: str, mails: Sequence[ParkedMail]) -> Table:
    table = Table(expand=True, show_lines=True)
    for heading in ("id", "since (UTC)"):
        table.add_column(heading, no_wrap=True)
    table.add_column("mail", overflow="fold", ratio=4)
    table.add_column("why", overflow="fold", ratio=3)
    for mail in mails:
        lines = (_to(mail), _subject(mail), f"{_key(mail)}, {_job(team, mail)}")
        said = "\n".join(line for line in lines if line)
        table.add_row(*map(Text, (mail.short, utc_time(mail.since_ms, short=True), said, mail.why)))
    return table


def _row(mail: ParkedMail, sender: str) -> list[str]:
    found = one_line(message_id(mail.effect_id, sender))
    told = (one_line(mail.job), _key(mail), _to(mail), _subject(mail))
    return [mail.short, utc_time(mail.since_ms, short=False), *told, one_line(mail.why), found]


def _job(team: str, mail: ParkedMail) -> str:
    return one_line(mail.job).removeprefix(f"{team}.")


def _key(mail: ParkedMail) -> str:
    return shortened(mail.key, 64)


def _to(mail: ParkedMail) -> str:
    return shortened(mail.told.to, 160) if mail.told else UNKNOWN


def _subject(mail: ParkedMail) -> str:
    return shortened(mail.told.subject, 160) if mail.told else ""

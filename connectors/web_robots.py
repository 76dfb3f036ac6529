"""A checked target in, whether its site's robots.txt lets us read it out (RFC 9309).

Asked once an hour for each site. A site without the file (4xx) allows all, one that fails to say
(5xx) allows nothing. Protego reads the rules: the longest match counts, `*` and `$` are known.
"""

import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from protego import Protego

from connectors.web_address import Target, WebError, WebRefused

AGENT = "Tidemill"
KEPT_S = 3_600.0
SITES = 1_000
RULES_BYTES = 512 * 1024
# Rules of a group are kept for each agent that it names: a file of many of both would fill memory.
AGENTS_TIMES_LINES = 2_000_000

Read = Callable[[str], Awaitable[bytes]]  # of a URL: the body behind it


class Robots:
    """What sites have said, kept for a while. Of one event loop."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[float, Protego]] = OrderedDict()

    async def check(self, target: Target, read: Read) -> None:
        """Raises `WebRefused` where the site wants no robot there, and what `read` raises."""
        rules = await self._rules(target.origin, read)
        if not rules.can_fetch(target.url, AGENT):
            raise WebRefused("robots", f"the robots.txt of {target.host} denies this page")

    def delay_s(self, target: Target) -> float:
        """The time between two visits that the site asks for; 0 where it has said nothing."""
        known = self._known.get(target.origin)
        return float(known and known[1].crawl_delay(AGENT) or 0)

    async def _rules(self, origin: str, read: Read) -> Protego:
        known = self._known.get(origin)
        if known and time.monotonic() - known[0] < KEPT_S:
            return known[1]
        rules = await _read(origin, read)
        self._known[origin] = time.monotonic(), rules
        self._known.move_to_end(origin)
        if len(self._known) > SITES:
            self._known.popitem(last=False)
        return rules


async def _read(origin: str, read: Read) -> Protego:
    try:
        body = await read(f"{origin}/robots.txt")
    except WebRefused:
        raise
    except WebError as error:
        if error.reason.startswith("http_4"):
            return Protego.parse("")
        if error.reason.startswith("http_") or error.reason == "too_large":
            raise WebRefused("robots", f"{origin}/robots.txt cannot be read ({error})") from None
        raise
    text = body[:RULES_BYTES].decode("utf-8", "replace").removeprefix("\ufeff")
    agents, lines = len(re.findall("user.?agent", text, re.IGNORECASE)), len(text.splitlines())
    if agents * lines > AGENTS_TIMES_LINES:
        raise WebRefused("robots", f"{origin}/robots.txt has too many rules for too many agents")
    return Protego.parse(text)

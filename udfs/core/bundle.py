"""What is heard of a bundle's sources in; each version of the bundle, exactly once, out.

A bundle expects the sources of its request and whatever a listing (feed, folder) names. A source
has arrived once its document, its chunks and its mined questions are there *of the same content*.
Version 1 is fired when nothing is awaited any more, or at the deadline, and says what is missing.
What arrives or changes later makes a next version, after a quiet moment: one edit makes one.

Topics are ordered, but among each other they are not: a document may be heard of before its
request, its chunks before it. So nothing here depends on the order of kinds. Repeats are dropped
before (`udfs.core.fold`); a round of checks is known by the trace of the request that began it.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from udfs.core.fold import BadEvent

Json = dict[str, Any]

DEADLINE_S = 600
DEADLINE_S_MOST = 7 * 86_400
QUIET_MS = 2_000
ROUNDS_KEPT = 16
QUESTIONS_PER_SOURCE = 20
QUESTIONS_PER_VERSION = 120
STATUSES = frozenset({"document", "unchanged", "listing", "failed", "removed"})
_BRIEFED_MISSING = "missing"


@dataclass
class Source:
    """What is known of one url. `briefed` is the content that the last version was fired with."""

    url: str
    place: int = 1_000_000  # in the request; what a listing has found comes after, by its url
    awaited: bool = True  # a check of this round is still to report
    overdue: bool = False  # a deadline has passed without it: not waited for until it is heard of
    trace: str | None = None  # of its last check
    listing: bool = False
    kind: str | None = None
    title: str | None = None
    content_hash: str | None = None
    stored_hash: str | None = None
    mined_hash: str | None = None
    questions: list[str] = field(default_factory=list)
    reason: str | None = None
    briefed: str | None = None
    passages: int = 0
    passages_new: int = 0  # since the last version

    @property
    def arrived(self) -> bool:
        """Whether all of its content can be found by a search, and its questions are mined."""
        return self.content_hash is not None and (
            self.content_hash == self.stored_hash == self.mined_hash
        )

    @property
    def open(self) -> bool:
        """Whether something of it is still waited for."""
        behind = self.content_hash is not None and not self.arrived
        return (self.awaited or behind) and not self.overdue

    @property
    def expected(self) -> bool:
        """Whether the bundle should hold content of it."""
        gone = self.content_hash is None and self.reason == "removed"
        return not self.listing and not gone

    @property
    def current(self) -> str | None:
        """What a version that is fired now says of it: a content's hash, or that it is missing."""
        if not self.expected:
            return None
        return self.content_hash if self.arrived else _BRIEFED_MISSING

    @property
    def change(self) -> str | None:
        """How it differs from what the last version held; None where it does not."""
        before, now = self.briefed, self.current
        had, has = before not in (None, _BRIEFED_MISSING), now not in (None, _BRIEFED_MISSING)
        if had and has:
            return "changed" if before != now else None
        if has or had:
            return "added" if has else "removed"
        return "missing" if before is None and now is not None else None

    @property
    def change_told(self) -> str | None:
        """The same, and of a change how much is new."""
        if self.change != "changed" or not 0 < self.passages_new < self.passages:
            return self.change
        are = "is" if self.passages_new == 1 else "are"
        return f"changed ({self.passages_new} of {self.passages} passages {are} new)"


@dataclass
class Asked:
    """The request that counts, and how far the bundle has come."""

    topic: str = ""
    guest_name: str | None = None
    company: str | None = None
    questions_wanted: int | None = None
    deadline_s: int = DEADLINE_S
    headers: dict[str, str] = field(default_factory=dict)
    rounds: list[str] = field(default_factory=list)
    version: int = 0
    deadline_ms: int | None = None
    fire_ms: int | None = None


class Bundle:
    """The state of one bundle, in pieces of which only those that changed are stored again."""

    def __init__(self, pieces: Mapping[str, Json] | None = None) -> None:
        stored = dict(pieces or {})
        self.asked = Asked(**_known(Asked, stored.pop("", {})))
        self.sources = {url: Source(**_known(Source, piece)) for url, piece in stored.items()}
        self._touched: set[str] = set()
        self._open = {url for url, source in self.sources.items() if source.open}
        self._changed = {url for url, source in self.sources.items() if source.change}

    def changed_pieces(self) -> dict[str, Json]:
        """What must be stored since the last call: "" is the request, others are urls."""
        touched, self._touched = self._touched, set()
        return {u: asdict(self.sources[u]) if u else asdict(self.asked) for u in touched}

    @property
    def due_ms(self) -> int | None:
        """When to call `wake`."""
        times = [t for t in (self.asked.fire_ms, self.asked.deadline_ms) if t is not None]
        return min(times, default=None)

    @property
    def settled(self) -> bool:
        """Whether a request came and nothing is waited for."""
        return bool(self.asked.rounds) and not self._open

    @property
    def has_changes(self) -> bool:
        """Whether a version that is fired now would tell anything new."""
        return self.asked.version == 0 or bool(self._changed)

    def take(
        self, kind: str, event: Json, trace: str, headers: dict[str, str], now_ms: int
    ) -> list[Json]:
        """The versions that this event fires: none, or one. Raises `BadEvent`."""
        takers: dict[str, Callable[[], object]] = {
            "requested": lambda: self._requested(event, trace, headers, now_ms),
            "checked": lambda: self._checked(event, trace),
            "stored": lambda: self._stored(event),
            "mined": lambda: self._mined(event),
        }
        if kind not in takers:
            known = ", ".join(sorted(takers))
            raise BadEvent("unknown_kind", f"kind is {kind!r}; a bundle hears of {known}")
        takers[kind]()
        return self._decide(now_ms)

    def wake(self, now_ms: int) -> list[Json]:
        """The versions that the passing of time fires: none, or one."""
        asked = self.asked
        quiet = asked.fire_ms is not None and asked.fire_ms <= now_ms
        late = asked.deadline_ms is not None and asked.deadline_ms <= now_ms
        if late:
            for url in sorted(self._open):
                self._edit(url).overdue = True
                self._noted(url)
        if not (quiet or late):
            return []
        asked.deadline_ms = asked.fire_ms = None
        self._touched.add("")
        return [self._fired()] if self.has_changes else []

    def _requested(self, event: Json, trace: str, headers: dict[str, str], now_ms: int) -> None:
        urls = [source["url"] for source in event.get("sources") or () if source.get("url")]
        if not urls:
            raise BadEvent("no_sources", "the request names no source to read")
        asked = self.asked
        asked.topic = event.get("topic") or ""
        asked.guest_name, asked.company = event.get("guest_name"), event.get("company")
        asked.questions_wanted = event.get("questions_wanted")
        wanted_s = event.get("deadline_s") or DEADLINE_S
        asked.deadline_s = max(1, min(int(wanted_s), DEADLINE_S_MOST))
        asked.headers = headers
        asked.rounds = [*(r for r in asked.rounds if r != trace), trace][-ROUNDS_KEPT:]
        asked.deadline_ms = now_ms + asked.deadline_s * 1000
        self._touched.add("")
        for place, url in enumerate(dict.fromkeys(urls)):
            self._await(url, trace)
            self.sources[url].place = place

    def _await(self, url: str, trace: str) -> None:
        source = self._edit(url)
        source.awaited, source.overdue = source.trace != trace, False
        self._noted(url)

    def _checked(self, event: Json, trace: str) -> None:
        status = event.get("status")
        if status not in STATUSES:
            raise BadEvent("unknown_status", f"status is {status!r}; expected {sorted(STATUSES)}")
        source = self._edit(_url(event))
        source.trace, source.overdue = trace, False
        if trace not in self.asked.rounds[:-1]:  # a late word of an earlier round is not this one's
            source.awaited = False
        source.kind = event.get("kind") or source.kind
        source.title = event.get("title") or source.title
        source.reason = event.get("reason") if status == "failed" else None
        source.listing = status == "listing" or (source.listing and status != "document")
        if status == "document":
            source.content_hash = event.get("content_hash") or ""
        elif status == "removed":
            source.content_hash, source.reason = None, "removed"
        elif status == "unchanged" and source.content_hash is None:
            # It was read before this state began. It is stored again, but not mined again.
            source.content_hash = source.mined_hash = event.get("content_hash")
        for url in event.get("found_urls") or ():
            if url != source.url:
                self._await(url, trace)
        self._noted(source.url)

    def _filed(self, event: Json, name: str) -> Source:
        """Chunks are stored, or questions mined, of one content of a source."""
        known = event.get("url") in self.sources
        source = self._edit(_url(event))
        if not known:
            source.awaited = True
        setattr(source, name, event.get("content_hash") or "")
        source.overdue = False
        self._noted(source.url)
        return source

    def _stored(self, event: Json) -> None:
        source = self._filed(event, "stored_hash")
        source.passages = _count(event, "chunk_count")
        source.passages_new += _count(event, "changed_count")

    def _mined(self, event: Json) -> None:
        questions = [q for q in event.get("questions") or () if q and q.strip()]
        self._filed(event, "mined_hash").questions = questions[:QUESTIONS_PER_SOURCE]

    def _edit(self, url: str) -> Source:
        source = self.sources.get(url)
        if source is None:
            source = self.sources[url] = Source(url)
        self._touched.add(url)
        return source

    def _noted(self, url: str) -> None:
        """Keep the two sets true that make deciding cheap with ten thousand sources."""
        source = self.sources[url]
        (self._open.add if source.open else self._open.discard)(url)
        (self._changed.add if source.change else self._changed.discard)(url)

    def _decide(self, now_ms: int) -> list[Json]:
        asked = self.asked
        before = (asked.deadline_ms, asked.fire_ms)
        asked.fire_ms = None
        fired: list[Json] = []
        if not asked.rounds:
            return fired
        if self._open:
            if asked.deadline_ms is None:
                asked.deadline_ms = now_ms + asked.deadline_s * 1000
        else:
            asked.deadline_ms = None
            if asked.version == 0:
                fired = [self._fired()]
            elif self._changed:
                asked.fire_ms = now_ms + QUIET_MS
        if (asked.deadline_ms, asked.fire_ms) != before:
            self._touched.add("")
        return fired

    def _fired(self) -> Json:
        """The next version. From here on it is what changes are told against."""
        asked = self.asked
        asked.version += 1
        self._touched.add("")
        ordered = sorted(self.sources.values(), key=lambda s: (s.place, s.url))
        expected = [source for source in ordered if source.expected]
        arrived = [source for source in expected if source.arrived]
        missing = [source for source in expected if not source.arrived]
        changes = [(s.url, s.change_told) for s in ordered if s.change] if asked.version > 1 else []
        version = {
            "topic": asked.topic,
            "guest_name": asked.guest_name,
            "company": asked.company,
            "questions_wanted": asked.questions_wanted,
            "version": asked.version,
            "complete": not missing,
            "expected": len(expected),
            "arrived": len(arrived),
            "sources": [{"url": s.url, "title": s.title, "kind": s.kind} for s in arrived],
            "missing": [{"url": s.url, "reason": s.reason or _why(s)} for s in missing],
            "changes": [{"url": url, "what": what} for url, what in changes],
            "questions": _by_turns([s.questions for s in arrived])[:QUESTIONS_PER_VERSION],
        }
        for url in [s.url for s in ordered if s.briefed != s.current or s.passages_new]:
            source = self._edit(url)
            source.briefed, source.passages_new = source.current, 0
            self._noted(url)
        return version


def _by_turns(lists: list[list[str]]) -> list[str]:
    """The first of each list, then the second of each, each text once."""
    longest = max(map(len, lists), default=0)
    turns = (found[at] for at in range(longest) for found in lists if at < len(found))
    return list(dict.fromkeys(turns))


def _why(source: Source) -> str:
    """Why a source that did not fail is not there."""
    if source.content_hash is None:
        return "not heard of before the deadline"
    if source.content_hash != source.stored_hash:
        return "read, but its chunks were not stored before the deadline"
    return "stored, but its questions were not mined before the deadline"


def _url(event: Json) -> str:
    url = event.get("url")
    if not isinstance(url, str) or not url:
        raise BadEvent("no_url", "the event names no source")
    return url


def _count(event: Json, name: str) -> int:
    found = event.get(name)
    return found if isinstance(found, int) else 0


def _known(kind: type, piece: Json) -> Json:
    """The piece without what a later release has added."""
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in piece.items() if name in names}

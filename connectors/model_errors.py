"""Exceptions of the OpenAI client and its HTTP library in, one of two of ours out.

ModelConfigurationError     at submit time: a sentence for whoever configures
└── ModelUnreachable        the server does not answer from here
ModelFailure                a call failed for good: reason code and sentence
Retryable                   it may pass at another try, perhaps not before a given time
Refused                     it will not pass: HTTP status, reason code
"""

import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_KEY_LIKE = re.compile(r"\b(?:sk|pk|key)-[\w*.-]{3,}|(?<=Bearer )\S+|(?<=://)[^/\s@]+@")
MESSAGE_CHARS = 300
DAY_S = 86_400.0


class ModelConfigurationError(Exception):
    """The model cannot be used as configured; the sentence says what to do."""


class ModelUnreachable(ModelConfigurationError):
    """No server answers, from here."""


class ModelFailure(Exception):
    """A call that failed for good. `reason` is a dead letter's reason code."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Retryable(Exception):
    """A try that failed; the next one may not. `retry_after_s` is the server's own wish."""

    def __init__(self, reason: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.reason, self.retry_after_s = reason, retry_after_s


class Refused(Exception):
    """A request that the server will never take."""

    def __init__(self, reason: str, message: str, status: int) -> None:
        super().__init__(message)
        self.reason, self.status = reason, status


def sorted_out(error: Exception) -> Retryable | Refused:
    """What an exception of the client means."""
    import openai

    from connectors.model_transport import RefusedResponse

    if isinstance(error, openai.APIStatusError):
        return _of_status(error)
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__
        told = f"{type(cause).__name__}: {cause}" if cause else str(error)
        return Retryable("model_unavailable", f"the connection failed ({told[:MESSAGE_CHARS]})")
    if isinstance(error, RefusedResponse):
        return Refused("oversize", str(error), 200)
    told = f"the request failed ({type(error).__name__}: {str(error)[:MESSAGE_CHARS]})"
    return Refused("model_unavailable", told, 0)


def _of_status(error: object) -> Retryable | Refused:
    import openai

    assert isinstance(error, openai.APIStatusError)
    status, code = error.status_code, str(error.code or error.type or "")
    details = error.body.get("message") if isinstance(error.body, Mapping) else None
    told = f"HTTP {status}: {str(details or code or 'no message')[:MESSAGE_CHARS]}"
    if status == 429:
        if code == "insufficient_quota":
            return Refused("rate_limited", told, status)
        return Retryable("rate_limited", told, retry_after_s(error.response.headers))
    if status in (408, 409) or status >= 500:
        return Retryable("model_unavailable", told, retry_after_s(error.response.headers))
    if code == "context_length_exceeded":
        return Refused("oversize", told, status)
    if code in ("content_filter", "content_policy_violation"):
        return Refused("refusal", told, status)
    if status < 400:
        told = f"HTTP {status}: it redirects to another address, which is not followed"
    return Refused("model_unavailable", told, status)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server wants to be left alone; None where it says nothing that is clear, or
    names more than a day: no caller could wait so long, and no server means it.

    Retry-After in seconds or as an HTTP date (RFC 9110, 10.2.3), or `retry-after-ms`.
    """
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        try:
            return _sane(float(text) * unit_s)
        except ValueError:
            continue
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
        return _sane(date.timestamp() - time.time())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _sane(seconds: float) -> float | None:
    return max(0.0, seconds) if math.isfinite(seconds) and seconds <= DAY_S else None


def redacted(text: str, secret: str) -> str:
    """The text without the key, and without what looks like one."""
    if len(secret) > 4:
        text = text.replace(secret, "…")
    return _KEY_LIKE.sub("…", text)

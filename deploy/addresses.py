"""What runs here and what the user has set in, the environment of jobs and clients out.

A process that has taken this environment for its own (as `tidemill` does) still tells the user's
addresses from the stack's: TIDEMILL_LOCAL_ADDRESSES lists what came from here.
"""

from __future__ import annotations

import hashlib
import os

from deploy.parts import PARTS, Part
from deploy.record import LOCAL_ADDRESSES, StackRecord


def user_variables(part: Part, record: StackRecord) -> list[str]:
    """The variables by which the user names a service of theirs in place of this part."""
    port = record.port(part)
    local = part.variables(port) if port else {}
    return [name for name in part.yours if _users(name) not in ("", local.get(name))]


def stack_environment(record: StackRecord) -> dict[str, str]:
    """Addresses of the parts that were started, and of the user's services in place of others."""
    local: dict[str, str] = {}
    for part in PARTS.values():
        port = record.port(part)
        if port and not user_variables(part, record):
            local.update(part.variables(port))
    yours = {name for part in PARTS.values() for name in part.yours}
    names = {*local, *yours, *record.switches, "MONGODB_DATABASE", "OPENAI_MODEL"}
    origin = " ".join(f"{name}={value}" for name, value in sorted(local.items()))
    return {
        "TIDEMILL_HOME": str(record.home),
        **({LOCAL_ADDRESSES: origin} if local else {}),
        **local,
        **record.switches,
        **{name: value for name in names if (value := _users(name))},
    }


def fingerprint(environment: dict[str, str]) -> str:
    """Tells one environment from another without keeping its secrets."""
    text = "\0".join(f"{name}={environment[name]}" for name in sorted(environment))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _users(name: str) -> str:
    """The variable's value, if the user has set it; nothing if it came from a local stack."""
    value = os.environ.get(name, "")
    return "" if f"{name}={value}" in os.environ.get(LOCAL_ADDRESSES, "").split() else value

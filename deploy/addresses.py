"""What runs here and what the user has set in, the environment of jobs and clients out."""

from __future__ import annotations

import hashlib
import os

from deploy.parts import PARTS, Part
from deploy.record import StackRecord


def user_variables(part: Part, record: StackRecord) -> list[str]:
    """The variables by which the user names a service of theirs in place of this part.

    A variable with the local part's own address (exported from `environment()`) is not one.
    """
    port = record.port(part)
    local = part.variables(port) if port else {}
    return [name for name in part.yours if os.environ.get(name, "") not in ("", local.get(name))]


def stack_environment(record: StackRecord) -> dict[str, str]:
    """Addresses of the parts that were started, and of the user's services in place of others."""
    found = {"TIDEMILL_HOME": str(record.home)}
    for part in PARTS.values():
        port = record.port(part)
        if port and not user_variables(part, record):
            found.update(part.variables(port))
    names = {*found, *(name for part in PARTS.values() for name in part.yours), "MONGODB_DATABASE"}
    found.update(record.switches)
    found.update({name: os.environ[name] for name in names if os.environ.get(name)})
    return found


def fingerprint(environment: dict[str, str]) -> str:
    """Tells one environment from another without keeping its secrets."""
    text = "\0".join(f"{name}={environment[name]}" for name in sorted(environment))
    return hashlib.sha256(text.encode()).hexdigest()[:16]

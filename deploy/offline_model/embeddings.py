"""Texts in; unit vectors out, in which texts that share words, word parts and ideas lie near.

Hashed features (Weinberger et al., 2009): each stem, idea and character trigram adds to two places
of the vector, with a sign. The same text gives the same vector on every machine.
"""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Iterable
from functools import lru_cache

from deploy.offline_model.lexicon import units
from deploy.offline_model.text import weight

DEFAULT_DIMENSIONS = 384
MAX_DIMENSIONS = 4_096
MAX_CHARS = 32_000


@lru_cache(maxsize=200_000)
def _places(feature: str) -> tuple[tuple[int, float], ...]:
    digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=12).digest()
    one, other, signs = struct.unpack("<IIi", digest)
    return (one, 1.0 if signs & 1 else -1.0), (other, 1.0 if signs & 2 else -1.0)


def _features(text: str) -> Iterable[tuple[str, float]]:
    for unit in units(text):
        for stem in unit.stems:
            heavy = weight(stem)
            yield f"w:{stem}", heavy
            if len(stem) > 4:
                framed = f"^{stem}$"
                parts = len(framed) - 2
                for start in range(parts):
                    yield f"c:{framed[start : start + 3]}", 0.3 * heavy / math.sqrt(parts)
        for idea in unit.ideas:
            yield f"i:{idea.name}", 1.0


def vector(text: str, dimensions: int = DEFAULT_DIMENSIONS) -> list[float]:
    """A unit vector for a text; the first axis for a text without words."""
    totals: dict[str, float] = {}
    for feature, heavy in _features(text[:MAX_CHARS]):
        totals[feature] = totals.get(feature, 0.0) + heavy
    found = [0.0] * dimensions
    for feature, total in totals.items():
        strength = math.sqrt(total)
        for place, sign in _places(feature):
            found[place % dimensions] += sign * strength
    length = math.sqrt(sum(one * one for one in found))
    if length == 0:
        return [1.0] + [0.0] * (dimensions - 1)
    return [one / length for one in found]


def as_base64(numbers: list[float]) -> str:
    """Little-endian float32, as the OpenAI client asks for by default."""
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()

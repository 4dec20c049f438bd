"""Fingerprints of the heads: sixteen bytes a record that tell what is unchanged without asking the server.

In come the fingerprints of a stream's living heads, once a run, and page by page those of the listed records; out go
the listed ones that no head has, and at the end the heads that no record met. They only spare questions: what they do
not know the server judges, so that a run may do without them and finds the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

BYTES = 16
_UNMET, _MET, _REPLACED = 0, 1, 2


def fingerprint(external_id: str, entity_hash: str, hash_version: int) -> bytes:
    """Return a record's fingerprint, as list_head_fingerprints.sql computes that of a head."""
    return hashlib.sha256(f"{external_id}{entity_hash}{hash_version}".encode()).digest()[:BYTES]


class HeadFingerprints:
    """The fingerprints of some heads, and which of them the listing has met."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        """Sort the fingerprints of the heads, which come in blocks of any number of them."""
        pairs = _pairs(b"".join(blocks))
        order = np.argsort(pairs[:, 0])
        self._first: NDArray[np.uint64] = pairs[order, 0]
        self._second: NDArray[np.uint64] = pairs[order, 1]
        self._state = np.full(len(order), _UNMET, dtype=np.uint8)

    def meet(self, listed: Iterable[bytes]) -> tuple[list[int], list[int]]:
        """Mark the heads that listed records have, each of which comes once in a call.

        Returns the numbers of the records that none of them has, and of those whose head was met before.
        """
        found, is_head = self._find(b"".join(listed))
        state = self._state[found] if len(self._state) else np.zeros(len(found), dtype=np.uint8)
        is_known = is_head & (state != _REPLACED)
        self._state[found[is_known]] = _MET
        return np.flatnonzero(~is_known).tolist(), np.flatnonzero(is_known & (state == _MET)).tolist()

    def replace(self, head: bytes) -> bool:
        """Give up a head whose record came with another content; return False if its own content came before."""
        found, is_head = self._find(head)
        if not is_head[0]:
            return True
        if self._state[found[0]] == _MET:
            return False
        self._state[found[0]] = _REPLACED
        return True

    def unmet(self) -> Iterator[bytes]:
        """Yield the fingerprints of the heads that no record met, in no order."""
        for number in np.flatnonzero(self._state == _UNMET):
            yield self._first[number].tobytes() + self._second[number].tobytes()

    def _find(self, listed: bytes) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return where each fingerprint would stand among the heads', and whether it does stand there."""
        pairs = _pairs(listed)
        if not len(self._first):
            return np.zeros(len(pairs), dtype=np.intp), np.zeros(len(pairs), dtype=np.bool_)
        found = np.searchsorted(self._first, pairs[:, 0])
        found[found == len(self._first)] = 0
        return found, (self._first[found] == pairs[:, 0]) & (self._second[found] == pairs[:, 1])


def _pairs(data: bytes) -> NDArray[np.uint64]:
    """Return fingerprints as pairs of numbers."""
    return np.frombuffer(data, dtype=np.uint64).reshape(-1, 2)

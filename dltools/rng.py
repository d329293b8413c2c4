"""Random numbers by address: a draw comes from a key of (seed, epoch, position) or (seed, step, rank), not a state.

What is drawn depends on the address alone, so workers, resumes and skipped steps change nothing.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import index

import numpy as np
import torch


@dataclass(frozen=True)
class Key:
    """An address in random space.

    >>> key(0, "a", 3) == key(0).fold("a").fold(3)
    True
    >>> key(0, 3) == key(0, "3")
    False
    """

    digest: bytes

    def fold(self, *path: int | str) -> Key:
        """The key of a place below this one; numpy's integers are integers, anything else a TypeError."""
        digest = self.digest
        for step in path:
            name = b"s" + step.encode() if isinstance(step, str) else b"i%d" % index(step)
            digest = hashlib.blake2b(digest + name, digest_size=16).digest()
        return Key(digest)

    def numpy(self) -> np.random.Generator:
        """A Philox generator that starts here."""
        return np.random.Generator(np.random.Philox(key=np.frombuffer(self.digest, "<u8")))

    def torch(self) -> torch.Generator:
        """A CPU generator that starts here."""
        generator = torch.Generator()
        generator.manual_seed(self.seed())
        return generator

    def uniforms(self, n: int) -> list[float]:
        """``n`` numbers in [0, 1), 53 random bits each, out of SHAKE-128: a third of what making a generator costs."""
        bits = struct.unpack(f"<{n}Q", hashlib.shake_128(self.digest).digest(8 * n))
        return [(word >> 11) * 2.0**-53 for word in bits]

    def seed(self) -> int:
        """63 bits for generators that take an integer."""
        return int.from_bytes(self.digest[:8], "little") >> 1

    def hex(self) -> str:
        """32 hexadecimal digits, for files."""
        return self.digest.hex()

    @classmethod
    def from_hex(cls, text: str) -> Key:
        """The key that ``hex`` wrote."""
        return cls(bytes.fromhex(text))


def key(seed: int, *path: int | str) -> Key:
    """The key of a seed, and of a place below it."""
    return Key(hashlib.blake2b(b"%d" % index(seed), digest_size=16).digest()).fold(*path)


@contextmanager
def seeded(at: Key, device: torch.device | str | None = None) -> Iterator[None]:
    """Seed the global generators of Python, numpy, torch (and a device) from a key; afterwards all are as before."""
    gpu = torch.device(device) if device is not None and torch.device(device).type != "cpu" else None
    backend = getattr(torch, gpu.type) if gpu else None
    saved = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
    on_device = backend.get_rng_state(gpu) if backend else None
    try:
        random.seed(at.seed())
        np.random.seed(at.seed() % 2**32)
        torch.default_generator.manual_seed(at.seed())  # torch.manual_seed would visit every device, 50 times slower
        if backend:
            backend.manual_seed(at.seed())
        yield
    finally:
        random.setstate(saved[0])
        np.random.set_state(saved[1])
        torch.default_generator.set_state(saved[2])
        if backend:
            backend.set_rng_state(on_device, gpu)

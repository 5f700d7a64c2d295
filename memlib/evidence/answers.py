"""Right and wrong answers to test images as text, so that a store can keep them and intervals can be made of them."""

import numpy as np


def pack(correct: np.ndarray) -> str:
    """Right and wrong answers (images,) as hexadecimal text, for a store."""
    return np.packbits(np.asarray(correct, bool)).tobytes().hex()


def unpack(text: str, images: int) -> np.ndarray:
    """The inverse of `pack`: (images,) bool."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=images).astype(bool)

"""Answers as text, and back."""

import numpy as np

from memlib.evidence.answers import pack, unpack


def test_pack_is_undone_by_unpack():
    """Any number of answers, also not a multiple of 8."""
    answers = np.random.default_rng(2).random(1003) < 0.7
    assert (unpack(pack(answers), 1003) == answers).all()

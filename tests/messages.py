"""Bad input: one line that names the field, the value and what is allowed."""

import pytest


def raises(error: type[Exception], call, *parts: str) -> None:
    """`call` raises exactly this kind of error, in one line, with all the parts in its message."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    for part in parts:
        assert part in message, message

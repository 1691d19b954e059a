"""URLs of servers whose percent-encoded bytes are not UTF-8 are refused, in every part and by every backend."""

from __future__ import annotations

import pytest

from feedstore import connect
from feedstore.errors import InvalidValueError

URLS = (
    "{scheme}://us%E9r@127.0.0.1/1",
    "{scheme}://user:secr%E9t@127.0.0.1/1",
    "{scheme}://127.0.0.1%E9/1",
    "{scheme}://127.0.0.1/caf%E9",
    "{scheme}://127.0.0.1/1?client_name=caf%E9",
)


@pytest.mark.parametrize("scheme", ["postgresql", "redis", "redis+cluster", "redis+sentinel", "cassandra"])
@pytest.mark.parametrize("url", URLS)
def test_what_is_not_utf_8_is_refused(scheme: str, url: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        connect(url.format(scheme=scheme))
    assert "secr" not in str(caught.value)
    assert "\ufffd" not in str(caught.value)

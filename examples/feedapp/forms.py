"""The signed-in user of a request, and the checked fields of its form."""

from __future__ import annotations

import unicodedata
from hmac import compare_digest
from secrets import token_urlsafe
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

from feedstore.errors import InvalidValueError
from feedstore.ids import id_to_text, parse_id

LONGEST_NAME = 40
LONGEST_TEXT = 2_000
_MOST_BYTES = 32_768
_MOST_FIELDS = 10


def user_of(request: Request) -> str | None:
    """Return the name in the signed cookie of a request, or None without a signed-in user."""
    name: str | None = request.session.get("name")
    return name


def token_of(request: Request) -> str:
    """Return the token that every form of this session carries."""
    token: str = request.session.setdefault("token", token_urlsafe(24))
    return token


def checked_name(value: str) -> str:
    """Return the name of a user, or refuse it: 1 to 40 characters, and no control characters."""
    return _checked(" ".join(value.split()), "the name", LONGEST_NAME)


def checked_id(value: str) -> str:
    """Return the id of an entry in its one spelling, or refuse it."""
    try:
        return id_to_text(parse_id(value))
    except InvalidValueError:
        raise HTTPException(404, "this entry does not exist") from None


class Form:
    """The fields of a form that this site has sent to this session.

    The session's cookie is SameSite, so that browsers do not send it with the forms of other sites. The token and the
    header Origin protect older browsers, and other sites on the same domain.
    """

    def __init__(self, fields: dict[str, str]) -> None:
        self._fields = fields

    @classmethod
    async def read(cls, request: Request) -> Form:
        """Return the form of a request, or refuse it: 413 if it is too large, 403 if another site made it."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MOST_BYTES:
                raise HTTPException(413, "this form is too large")
        try:
            pairs = parse_qsl(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise HTTPException(400, "this form has too many fields") from None
        fields = dict(pairs)
        origin = request.headers.get("origin")
        is_foreign = origin is not None and origin.partition("://")[2] != request.headers.get("host")
        token = request.session.get("token", "")
        if is_foreign or not token or not compare_digest(fields.get("token", "").encode(), token.encode()):
            raise HTTPException(403, "this form has expired; go back, reload the page, and send it again")
        return cls(fields)

    def name(self, field: str = "name") -> str:
        """Return the name of a user."""
        return checked_name(self._fields.get(field, ""))

    def entry_id(self) -> str:
        """Return the id of an entry."""
        return checked_id(self._fields.get("id", ""))

    def text(self) -> str:
        """Return the text of a post or of a comment."""
        text = self._fields.get("text", "").replace("\r\n", "\n").strip()
        return _checked(text, "the text", LONGEST_TEXT, "\n\t")

    def back(self) -> str:
        """Return the page to go back to: a path of this site, never an address of another one."""
        path = self._fields.get("back", "/")
        is_local = path.startswith("/") and not path.startswith(("//", "/\\"))
        return path if is_local and path.isascii() and path.isprintable() else "/"


def _checked(text: str, field: str, longest: int, allowed: str = "") -> str:
    text = unicodedata.normalize("NFC", text)
    if not 0 < len(text) <= longest:
        raise HTTPException(400, f"{field} must have 1 to {longest} characters")
    if any(unicodedata.category(one) in ("Cc", "Cs") and one not in allowed for one in text):
        raise HTTPException(400, f"{field} must not have control characters")
    return text

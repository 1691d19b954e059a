"""A visitor of the social application, who sends its forms and reads its pages without a browser."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urlencode

from live.http import Answer, ask


class Visitor:
    """A visitor of the application, with the cookie that it has set."""

    def __init__(self, port: int, name: str | None = None) -> None:
        self._port = port
        self.cookie = ""
        self.token = ""
        self.get("/")
        if name is not None:
            assert self.act("sign-in", name=name).status == 303
            self.get("/")

    def get(self, path: str) -> Answer:
        """Open a page, and note its token."""
        answer = self._kept(ask(self._port, path, {"cookie": self.cookie}))
        found = re.search(r'name="token" value="([^"]+)"', answer.body.decode())
        self.token = found[1] if found else self.token
        return answer

    def act(self, path: str, *, origin: str = "", **fields: str) -> Answer:
        """Send a form with the session's token."""
        headers = {"cookie": self.cookie, **({"origin": origin} if origin else {})}
        body = urlencode({"token": self.token, **fields}).encode()
        return self._kept(ask(self._port, f"/{path}", headers, "POST", body))

    def do(self, path: str, **fields: str) -> None:
        """Send a form that succeeds."""
        answer = self.act(path, **fields)
        assert (answer.status, answer.headers["location"]) == (303, "/"), answer.body.decode()

    def lines(self, path: str = "/") -> list[str]:
        """Return the sentences of the entries on a page, with the words that stand below them."""
        items = re.findall(r'<li class="entry".*?</article>', self.get(path).body.decode(), re.DOTALL)
        shown = [
            re.findall(r'class="(?:what|text|excerpt|text about)"[^>]*>(.*?)</(?:p|blockquote)>', one) for one in items
        ]
        return [" | ".join(unescape(re.sub("<[^>]+>", "", part)) for part in one if part) for one in shown]

    def first_id(self, path: str = "/") -> str:
        """Return the id of the first entry on a page."""
        found = re.search(r'<li class="entry" id="e-([^"]+)"', self.get(path).body.decode())
        assert found is not None
        return found[1]

    def unseen(self) -> int:
        """Return the number of the badge."""
        number: int = ask(self._port, "/status", {"cookie": self.cookie}).value["unseen"]
        return number

    def _kept(self, answer: Answer) -> Answer:
        self.cookie = answer.headers.get("set-cookie", self.cookie).partition(";")[0]
        return answer

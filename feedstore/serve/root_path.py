"""Serving an application under a path of another site."""

from __future__ import annotations

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class RootPath:
    """Middleware for an application that is served under ``path``, whether a proxy strips the path or passes it on."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with the root path at the start of its path, as ASGI requires."""
        if scope["type"] == "http":
            path: str = scope["path"]
            if path == self._path:
                query = scope["query_string"].decode("latin-1")
                await RedirectResponse(f"{path}/" + (f"?{query}" if query else ""))(scope, receive, send)
                return
            whole = path if path.startswith(f"{self._path}/") else self._path + path
            scope = {**scope, "root_path": self._path, "path": whole}
        await self._app(scope, receive, send)

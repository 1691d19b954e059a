"""The checks of a server before its first use: its version, its mode and its eviction policy."""

from __future__ import annotations

import logging
from typing import Any

from redis.exceptions import NoPermissionError

from feedstore.backends.redis.errors import is_unknown_command
from feedstore.backends.redis.node import Node
from feedstore.errors import StorageError

logger = logging.getLogger("feedstore.redis")
_OLDEST_VERSION = (6, 2)
_SAFE_POLICY = "noeviction"


def check_server(node: Node, label: str, in_cluster: bool) -> None:
    """Check a server's version and mode, and log a warning if its eviction policy may drop data.

    It costs one round trip. If the user may not call INFO, or INFO is renamed, nothing is checked.

    Raises:
        StorageError: The server is too old, or belongs to a Cluster while the URL names one server.
    """
    answers = node.request([("INFO", "server"), ("INFO", "memory"), ("INFO", "cluster")])
    for answer in answers:
        if isinstance(answer, NoPermissionError) or is_unknown_command(answer):
            logger.debug("%s: the user may not call INFO; version and eviction policy stay unchecked", label)
            return
        if isinstance(answer, Exception):
            raise answer
    fields = _fields(b"\n".join(answers))
    _check_version(fields, label)
    if fields.get("cluster_enabled") == "1" and not in_cluster:
        raise StorageError(f"{label}: this server is part of a Redis Cluster; use redis+cluster://")
    _warn_of_eviction(fields, label)


def durability_gap_of(answer: Any) -> str | None:
    """Return the description of settings that may lose an acknowledged write, given the reply to CONFIG GET."""
    pairs = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
    settings = {_text(name): _text(value) for name, value in pairs}
    if settings.get("appendonly") == "yes" and settings.get("appendfsync") == "always":
        return None
    return (
        f"Redis has appendonly {settings.get('appendonly')} and appendfsync {settings.get('appendfsync')}; set them to "
        "yes and always, or a crash of the server may lose the last writes"
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _fields(answer: bytes) -> dict[str, str]:
    lines = answer.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _check_version(fields: dict[str, str], label: str) -> None:
    version = fields.get("redis_version", "")
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < _OLDEST_VERSION:
        raise StorageError(f"{label}: Redis {version or 'of an unknown version'} is too old; use 6.2 or newer")


def _warn_of_eviction(fields: dict[str, str], label: str) -> None:
    policy = fields.get("maxmemory_policy", _SAFE_POLICY)
    if fields.get("maxmemory", "0") != "0" and policy != _SAFE_POLICY:
        logger.warning(
            "%s: maxmemory-policy is %s, so a server without free memory evicts keys; an evicted timeline reads as "
            "empty and complete; set maxmemory-policy to noeviction",
            label,
            policy,
        )

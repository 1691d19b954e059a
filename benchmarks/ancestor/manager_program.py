"""Program for stream_framework's own environment: its feed manager, which runs operations in the call, without Celery.

Its arguments are those of ``program.py`` for a store. It reads a line of JSON and answers with another, until its input
ends:

- ``{"follows": [[follower, followed], …]}`` makes follows without a change of feeds; the answer is ``{}``.
- ``{"events": [[kind, …], …]}`` calls the manager; the answer is ``{"seconds": …}``, the processor time of the calls.
  An event is a post, ``["p", actor, verb, object, microseconds]``, a follow, ``["f", follower, followed]``, or an
  unfollow, ``["u", follower, followed]``. All names are numbers.
"""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from time import process_time
from types import ModuleType
from typing import Any, ClassVar

sys.path.insert(0, str(Path(__file__).parent))

from program import _STORES, Calls  # type: ignore[import-not-found]

_KEPT = 800
_ALL = 10**6


def _manager_class() -> Any:
    """Return the class of the manager. Its source names an argument ``async``, which is a keyword in Python 3.7."""
    package = find_spec("stream_framework")
    assert package is not None
    assert package.submodule_search_locations is not None
    path = Path(package.submodule_search_locations[0]) / "feed_managers" / "base.py"
    source = path.read_text(encoding="utf-8")
    for before, after in (("async=True", "async_=True"), ("if async:", "if async_:"), (", async)", ", async_)")):
        source = source.replace(before, after)
    module = ModuleType("stream_framework.feed_managers.base")
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module.Manager


def _make_manager(base: Any, followers: dict[int, dict[int, None]]) -> Any:
    manager_class = _manager_class()

    home = type("Home", (base,), {"key_format": "home:%(user_id)s", "max_length": _KEPT})
    own = type("User", (base,), {"key_format": "user:%(user_id)s", "max_length": _ALL})

    class Manager(manager_class):  # type: ignore[misc, valid-type]
        feed_classes: ClassVar = {"normal": home}
        user_feed_class = own

        def get_user_follower_ids(self, user_id: int) -> Any:
            """Return the followers, all of normal priority."""
            return {None: list(followers.get(user_id, ()))}

        def create_fanout_tasks(
            self, follower_ids: Any, feed_class: Any, operation: Any, operation_kwargs: Any = None, **options: Any
        ) -> None:
            """Run the tasks that the method of the class hands to Celery."""
            for first in range(0, len(follower_ids), self.fanout_chunk_size):
                some = follower_ids[first : first + self.fanout_chunk_size]
                self.fanout(some, feed_class, operation, dict(operation_kwargs))

    return Manager()


class _Replay:
    """The manager, and the follows."""

    def __init__(self, base: Any) -> None:
        self._followers: dict[int, dict[int, None]] = {}
        self._manager = _make_manager(base, self._followers)
        self._calls = Calls(base, None, None)

    def follow(self, pairs: list[list[int]]) -> dict[str, float]:
        """Make follows without a change of feeds."""
        for follower, followed in pairs:
            self._followers.setdefault(followed, {})[follower] = None
        return {}

    def carry_out(self, events: list[list[Any]]) -> dict[str, float]:
        """Call the manager, and return the processor time of the calls."""
        first = len(self._calls.activities)
        self._calls.make([[event[1], event[2], event[3], None, event[4], {}] for event in events if event[0] == "p"])
        activities = iter(self._calls.activities[first:])
        started = process_time()
        for kind, one, other, *_ in events:
            if kind == "p":
                self._manager.add_user_activity(one, next(activities))
            elif kind == "f":
                self._followers.setdefault(other, {})[one] = None
                self._manager.follow_user(one, other, False)
            else:
                self._followers[other].pop(one, None)
                self._manager.unfollow_user(one, other, False)
        return {"seconds": process_time() - started}


def main() -> None:
    """Answer until the input ends."""
    base, *_ = _STORES[sys.argv[1]](*sys.argv[2:])
    replay = _Replay(base)
    for line in sys.stdin:
        request = json.loads(line)
        answer = replay.follow(request["follows"]) if "follows" in request else replay.carry_out(request["events"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

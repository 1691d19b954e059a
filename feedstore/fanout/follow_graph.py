"""The follow graph: users follow, block and mute others, on any backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice, repeat
from typing import Any, NamedTuple

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.fanout.edge_writer import EdgeWriter, is_mark
from feedstore.fanout.edges import (
    BLOCK,
    FOLLOW,
    MUTE,
    Edge,
    Follow,
    checked_kind,
    checked_time,
    checked_user,
    followers_key,
    following_key,
    moments,
    names_of,
    with_edges,
)
from feedstore.feeds import UserId
from feedstore.feeds.reads import filter_within
from feedstore.shown import shown
from feedstore.storage import Backend, Page
from feedstore.storage.backend import checked_backend
from feedstore.storage.checks import check_limit, checked_iterable
from feedstore.storage.page import cursor_bounds, encode_cursor

_PAGE = 25
_AT_ONCE = 500
_FOLLOWED_AT_ONCE = 50


class Counts(NamedTuple):
    """The numbers of a user's followers and of everything that the user follows."""

    following: int
    followers: int


class FollowGraph:
    """The graph of followers. A user follows users and things of any type: a name is a str, an int or a UUID.

    An int and the str of its digits are the same user, as in feeds. Each list is a timeline, newest follow first; each
    pair has a key-value item, which answers :meth:`is_following` without a search. Both directions always agree, even
    if a process dies in the middle of a call: on memory, SQL and a single Redis, a call is one atomic batch; elsewhere
    a page leaves out an entry that its item does not confirm (see :meth:`repair`).

    An object has no state but its arguments, so threads share it.

    Args:
        backend: the backend.
        kinds: the kinds of follows, which exist side by side, such as ``("follow", "watch")``. ``block`` and ``mute``
            exist in every graph. Pass the same kinds in every process, because :meth:`block` ends, and :meth:`repair`
            reads, the follows of these kinds alone.
        name: the name of the collections that hold the graph.

    >>> from feedstore import connect
    >>> graph = FollowGraph(connect("memory://"))
    >>> graph.follow("bob", "ann"), graph.follow("bob", "tag:python"), graph.follow("bob", "ann")
    (True, True, False)
    >>> [one.name for one in graph.following("bob")], graph.counts("ann")
    (['tag:python', 'ann'], Counts(following=0, followers=1))
    """

    def __init__(self, backend: Backend, *, kinds: Iterable[str] = (FOLLOW,), name: str = "follow-graph") -> None:
        self.backend = checked_backend(backend)
        self.name = name
        self.kinds = tuple(dict.fromkeys(map(checked_kind, checked_iterable(kinds))))
        if not self.kinds or {BLOCK, MUTE} & set(self.kinds):
            raise InvalidValueError(f"kinds is {shown(self.kinds)}; pass at least one, and neither 'block' nor 'mute'")
        self._edges = EdgeWriter(self.backend, name)

    def follow(self, follower: UserId, followed: UserId, *, kind: str = FOLLOW, since: datetime | None = None) -> bool:
        """Let a user follow another user or a thing; return whether it is new. ``since`` defaults to now.

        A repeated follow changes nothing and keeps its time. One round trip for a new follow, four on a Redis Cluster
        and Cassandra.

        Raises:
            BlockedError: One of the two has blocked the other.
        """
        edge = self._edge(follower, followed, kind)
        return bool(self._edges.add([edge], checked_time(since), edge.guards))

    def follow_many(
        self, follower: UserId, followed: Iterable[UserId], *, kind: str = FOLLOW, since: datetime | None = None
    ) -> int:
        """Let a user follow several users or things, and return how many are new.

        Atomic for each 50 on stores where a follow is atomic. Raises :class:`BlockedError` as :meth:`follow` does; the
        follows before those 50 stay.
        """
        edges = self._distinct(follower, followed, kind)
        time, new = checked_time(since), 0
        while some := list(islice(edges, _FOLLOWED_AT_ONCE)):
            new += self._edges.add(some, time, [guard for edge in some for guard in edge.guards])
        return new

    def unfollow(self, follower: UserId, followed: UserId, *, kind: str = FOLLOW) -> bool:
        """End a follow, and return whether it existed. Two round trips, or one if it did not exist."""
        return bool(self._edges.remove([self._edge(follower, followed, kind)]))

    def unfollow_many(self, follower: UserId, followed: Iterable[UserId], *, kind: str = FOLLOW) -> int:
        """End several follows of a user, and return how many existed. Atomic for each 50 as :meth:`follow_many` is."""
        edges = self._distinct(follower, followed, kind)
        removed = 0
        while some := list(islice(edges, _FOLLOWED_AT_ONCE)):
            removed += self._edges.remove(some)
        return removed

    def is_following(self, follower: UserId, followed: UserId, *, kind: str = FOLLOW) -> bool:
        """Return whether a user follows another. One round trip, which reads one key-value item."""
        return self._exists(self._edge(follower, followed, kind))

    def following_among(self, follower: UserId, names: Iterable[UserId], *, kind: str = FOLLOW) -> set[UserId]:
        """Return the members of ``names`` that a user follows. A bounded number of round trips."""
        edges = [self._edge(follower, one, kind) for one in checked_iterable(names)]
        rows = self._edges.read(edges)
        return {edge.followed for edge in edges if is_mark(rows.get(edge.row_key))}

    def followers_among(self, followed: UserId, names: Iterable[UserId], *, kind: str = FOLLOW) -> set[UserId]:
        """Return the members of ``names`` that follow a user. A bounded number of round trips."""
        checked = self._checked(kind)
        return self._among(names, lambda name: (self._pair(name, followed, checked),))

    def blockers_among(self, user: UserId, names: Iterable[UserId]) -> set[UserId]:
        """Return the members of ``names`` that have blocked a user. A bounded number of round trips."""
        return self._among(names, lambda name: (self._pair(name, user, BLOCK),))

    def following(
        self, user: UserId, limit: int = _PAGE, cursor: str | None = None, *, kind: str = FOLLOW
    ) -> Page[Follow]:
        """Return a page of everything that a user follows, newest first.

        Continue with ``cursor=page.next_cursor``. One round trip, two on a Redis Cluster and Cassandra, where a page
        may hold fewer than ``limit`` and still not be the last.
        """
        return self._page(user, self._checked(kind), True, limit, cursor)

    def followers(
        self, user: UserId, limit: int = _PAGE, cursor: str | None = None, *, kind: str = FOLLOW
    ) -> Page[Follow]:
        """Return a page of the followers of a user or a thing, newest first, as :meth:`following` does."""
        return self._page(user, self._checked(kind), False, limit, cursor)

    def follower_names(
        self, user: UserId, limit: int, cursor: str | None = None, *, kind: str = FOLLOW
    ) -> tuple[list[UserId], str | None]:
        """Return the names of a page of :meth:`followers`, and the cursor of the next page, or None: for fan-outs.

        No object is made for a follower, which takes a third of the time of a page.
        """
        return self._page_of_names(
            checked_user(user, "user"), self._checked(kind), False, check_limit("limit", limit), cursor
        )

    def few_followers(
        self, users: Iterable[UserId], most: int, *, kind: str = FOLLOW
    ) -> dict[UserId, list[UserId] | None]:
        """Return the names of the followers of several users, or None for a user with more than ``most``.

        One round trip for some hundreds of users; on a Redis Cluster and Cassandra as :meth:`follower_names` for each.
        """
        keys = {one: followers_key(checked_user(one, "user"), self._checked(kind)) for one in checked_iterable(users)}
        if not self._edges.is_atomic:
            pages = {user: self.follower_names(user, most, kind=kind) for user in keys}
            return {user: names if following is None else None for user, (names, following) in pages.items()}
        slices = self._edges.timelines.get_many_slices(keys.values(), 0, check_limit("most", most) + 1)
        found = {key: None if len(some) > most else [one.name for one in some] for key, some in slices.items()}
        return {user: found[key] for user, key in keys.items()}

    def all_following(self, user: UserId, *, kind: str = FOLLOW) -> Iterator[UserId]:
        """Yield the name of everything that a user follows, newest first, in pages of 500."""
        return self._names(user, self._checked(kind), True)

    def all_followers(self, user: UserId, *, kind: str = FOLLOW) -> Iterator[UserId]:
        """Yield the names of all followers, newest first, in pages of 500: the readers of a fan-out."""
        return self._names(user, self._checked(kind), False)

    def counts(self, user: UserId, *, kind: str = FOLLOW) -> Counts:
        """Return the numbers of followed things and of followers. Two round trips, however large they are.

        On a Redis Cluster and Cassandra a crash in the middle of a call may leave a count too high until
        :meth:`repair`.
        """
        checked, name = checked_user(user, "user"), self._checked(kind)
        timelines = self._edges.timelines
        return Counts(timelines.count(following_key(checked, name)), timelines.count(followers_key(checked, name)))

    def block(self, user: UserId, blocked: UserId) -> bool:
        """Let a user block another, and end the follows between the two; return whether that changed anything.

        It ends follows of the kinds of this object. Those of other kinds stay, which another object on the same storage
        may have added. Neither can follow the other, with any kind, until :meth:`unblock`. If a process dies in the
        middle on a Redis Cluster or Cassandra, follows may stay; a repeated call ends them. Two round trips, some for
        each kind there.
        """
        edge = self._pair(user, blocked, BLOCK)
        if str(edge.follower) == str(edge.followed):
            raise InvalidValueError(f"{shown(user)} cannot block itself; pass two users")
        ended = [one for kind in self.kinds for one in (edge._replace(kind=kind), edge.reversed(kind))]
        return self._edges.exchange(edge, ended)

    def unblock(self, user: UserId, blocked: UserId) -> bool:
        """End a block, and return whether it existed. Follows do not come back."""
        return bool(self._edges.remove([self._pair(user, blocked, BLOCK)]))

    def is_blocked(self, user: UserId, blocked: UserId) -> bool:
        """Return whether ``user`` has blocked ``blocked``. One round trip."""
        return self._exists(self._pair(user, blocked, BLOCK))

    def blocked(self, user: UserId, limit: int = _PAGE, cursor: str | None = None) -> Page[Follow]:
        """Return a page of the users that a user has blocked, newest first."""
        return self._page(user, BLOCK, True, limit, cursor)

    def may_have_blocked(self, user: UserId) -> bool:
        """Return False if a user has blocked no one. One round trip, the cheapest of such questions."""
        return bool(self._edges.timelines.count(following_key(checked_user(user, "user"), BLOCK)))

    def mute(self, user: UserId, muted: UserId) -> bool:
        """Let a user mute another, and return whether it is new. Follows stay. The application decides which
        activities a mute hides."""
        return bool(self._edges.add([self._pair(user, muted, MUTE)], None))

    def unmute(self, user: UserId, muted: UserId) -> bool:
        """End a mute, and return whether it existed."""
        return bool(self._edges.remove([self._pair(user, muted, MUTE)]))

    def is_muted(self, user: UserId, muted: UserId) -> bool:
        """Return whether ``user`` has muted ``muted``. One round trip."""
        return self._exists(self._pair(user, muted, MUTE))

    def muted(self, user: UserId, limit: int = _PAGE, cursor: str | None = None) -> Page[Follow]:
        """Return a page of the users that a user has muted, newest first."""
        return self._page(user, MUTE, True, limit, cursor)

    def hidden_among(self, user: UserId, names: Iterable[UserId]) -> set[UserId]:
        """Return the members of ``names`` that a user has blocked or muted, or that have blocked the user.

        A bounded number of round trips, as :meth:`following_among`.
        """
        return self._among(
            names,
            lambda name: (self._pair(user, name, BLOCK), self._pair(name, user, BLOCK), self._pair(user, name, MUTE)),
        )

    def blocked_among(self, user: UserId, names: Iterable[UserId]) -> set[UserId]:
        """Return the members of ``names`` that a user has blocked. A bounded number of round trips."""
        return self._among(names, lambda name: (self._pair(user, name, BLOCK),))

    def _among(self, names: Iterable[UserId], edges_of: Callable[[UserId], Iterable[Edge]]) -> set[UserId]:
        edges = {name: tuple(edges_of(name)) for name in checked_iterable(names)}
        rows = self._edges.read(edge for some in edges.values() for edge in some)
        return {name for name, some in edges.items() if any(is_mark(rows.get(edge.row_key)) for edge in some)}

    def import_follows(
        self, pairs: Iterable[tuple[Any, ...]], *, kind: str = FOLLOW, since: datetime | None = None
    ) -> int:
        """Add follows in bulk, in bounded memory, and return how many are new.

        No call but :meth:`repair` may change the same pairs during the import. A follow that exists keeps its time;
        blocks are not checked. If the import dies, repeat it with the same pairs and times: each chunk of 500 is atomic
        on stores where a follow is atomic, and elsewhere the repeated import writes the same entries.

        Args:
            pairs: ``(follower, followed)`` or ``(follower, followed, since)``.
            kind: the kind of the follows.
            since: the time of the pairs that have none; by default the current time, later for each pair.
        """
        given, rest, new = checked_time(since), iter(checked_iterable(pairs)), 0
        times = moments() if given is None else repeat(given)
        while some := list(islice(rest, _AT_ONCE)):
            new += self._edges.load([self._imported(*one, kind) for one in zip(some, times, strict=False)])
        return new

    def repair(self, user: UserId) -> int:
        """Remove the entries in the lists of a user that no key-value item confirms, and return how many there were.

        Such an entry is left by a process that died in the middle of a call on a Redis Cluster or Cassandra. No
        page shows it, but :meth:`counts` counts it. Calls at the same time are safe. If this call dies during an
        import, pairs of the import may lack their entries. Reads both lists of every kind.
        """
        checked, removed = checked_user(user, "user"), 0
        if self._edges.is_atomic:
            return 0
        for kind in (*self.kinds, BLOCK, MUTE):
            for is_following in (True, False):
                cursor: str | None = None
                while True:
                    page = self._raw_page(checked, kind, is_following, _AT_ONCE, cursor)
                    removed += self._edges.drop_unconfirmed(with_edges(page.items, checked, kind, is_following))
                    cursor = page.next_cursor
                    if cursor is None:
                        break
        return removed

    def relations(self, user: UserId) -> Iterator[tuple[str, bool, Follow]]:
        """Yield every relation of a user: its kind, whether it is the user's own, and the other side.

        The kinds are those of this object, ``"block"`` and ``"mute"``. It reads pages of 500.
        """
        checked = checked_user(user, "user")
        for kind in (*self.kinds, BLOCK, MUTE):
            for is_following in (True, False):
                cursor: str | None = None
                while True:
                    page = self._page(checked, kind, is_following, _AT_ONCE, cursor)
                    yield from ((kind, is_following, follow) for follow in page)
                    cursor = page.next_cursor
                    if cursor is None:
                        break

    def remove_user(self, user: UserId) -> int:
        """End every relation of a user in both directions, blocks and mutes too, and return how many there were.

        It removes pages of 50, and may be repeated after an error. On a Redis Cluster and Cassandra, it then reads the
        keys of the whole graph, because the items of ended follows stay there; no other call may change relations of
        the user during this one.
        """
        checked, removed = checked_user(user, "user"), 0
        self.repair(checked)
        edges = (
            Edge(checked, one.name, kind) if is_own else Edge(one.name, checked, kind)
            for kind, is_own, one in self.relations(checked)
        )
        while some := list(islice(edges, _FOLLOWED_AT_ONCE)):
            removed += self._edges.remove(some)
        self._edges.drop_ended(checked, (*self.kinds, BLOCK, MUTE))
        return removed

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.backend!r}, kinds={self.kinds!r})"

    def _imported(self, pair: Any, default: datetime, kind: str) -> tuple[Edge, datetime]:
        if not isinstance(pair, (tuple, list)) or len(pair) not in (2, 3):
            raise InvalidTypeError(f"a pair is (follower, followed) or (follower, followed, since), not {shown(pair)}")
        since = checked_time(pair[2]) if len(pair) == 3 else None
        return self._edge(pair[0], pair[1], kind), since or default

    def _exists(self, edge: Edge) -> bool:
        return is_mark(self._edges.rows.get(edge.row_key))

    def _edge(self, follower: UserId, followed: UserId, kind: str) -> Edge:
        return self._pair(follower, followed, self._checked(kind))

    def _distinct(self, follower: UserId, followed: Iterable[UserId], kind: str) -> Iterator[Edge]:
        edges = [self._edge(follower, one, kind) for one in checked_iterable(followed)]
        return iter({edge.row_key: edge for edge in edges}.values())

    @staticmethod
    def _pair(follower: UserId, followed: UserId, kind: str) -> Edge:
        return Edge(checked_user(follower, "follower"), checked_user(followed, "followed user"), kind)

    def _checked(self, kind: str) -> str:
        if kind not in self.kinds:
            raise InvalidValueError(f"the graph has no kind {shown(kind)}; its kinds are {', '.join(self.kinds)}")
        return kind

    def _page(self, user: UserId, kind: str, is_following: bool, limit: int, cursor: str | None) -> Page[Follow]:
        checked = checked_user(user, "user")
        page = self._raw_page(checked, kind, is_following, check_limit("limit", limit), cursor)
        if self._edges.is_atomic:
            return page
        items = self._edges.confirmed(with_edges(page.items, checked, kind, is_following))
        return Page(items, page.next_cursor, page.complete, page.floor)

    def _raw_page(self, user: UserId, kind: str, is_following: bool, limit: int, cursor: str | None) -> Page[Follow]:
        key = following_key(user, kind) if is_following else followers_key(user, kind)
        return self._edges.timelines.get_page(key, limit, cursor)

    def _page_of_names(
        self, user: UserId, kind: str, is_following: bool, limit: int, cursor: str | None
    ) -> tuple[list[UserId], str | None]:
        if not self._edges.is_atomic:
            page = self._page(user, kind, is_following, limit, cursor)
            return [one.name for one in page.items], page.next_cursor
        bounds = cursor_bounds(cursor, descending=True)
        if bounds.is_empty:
            return [], None
        key = following_key(user, kind) if is_following else followers_key(user, kind)
        columns = self._edges.timelines.get_columns(key, limit + 1, filter_within(bounds))
        following = encode_cursor(columns.ids[limit - 1], True) if len(columns) > limit else None
        return names_of(columns, limit), following

    def _names(self, user: UserId, kind: str, is_following: bool) -> Iterator[UserId]:
        checked = checked_user(user, "user")
        cursor: str | None = None
        while True:
            names, cursor = self._page_of_names(checked, kind, is_following, _AT_ONCE, cursor)
            yield from names
            if cursor is None:
                return

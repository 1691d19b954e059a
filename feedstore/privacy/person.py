"""The erasure and the export of the data of a person."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone

from feedstore.export import ROLES, checked_roles
from feedstore.fanout.edges import checked_user
from feedstore.feeds import UserId
from feedstore.feeds.key_format import user_text
from feedstore.ids import id_to_text
from feedstore.privacy.parts import ActivitiesPart, Part, PersonRecord, TimelinesPart
from feedstore.privacy.progress import ErasureProgress
from feedstore.privacy.relations import EventsPart, GraphPart, QueuesPart, RecordsPart
from feedstore.privacy.report import ErasureReport
from feedstore.privacy.scope import Scope
from feedstore.shown import shown
from feedstore.storage import Backend

_PARTS: tuple[type[Part], ...] = (ActivitiesPart, TimelinesPart, GraphPart, RecordsPart, QueuesPart, EventsPart)
_COLLECT = "collect"


def export_person(person: UserId, where: Backend | Scope, roles: Iterable[str] = ROLES) -> Iterator[PersonRecord]:
    """Yield the data of a person in types of JSON, for the right of access. ``record`` names the kind of each.

    The kinds are ``activity``, ``entry`` and ``mark`` (of the person's own timelines), ``relation`` (follows, blocks
    and mutes in both directions), ``publication``, ``item`` and ``dead letter`` (records of feed managers), ``message``
    (of queues) and ``event``. It reads the whole namespace in bounded memory. Messages in queues are hidden from their
    consumers for a second, or for a second for each 200 messages.

    Args:
        person: The name of the person.
        where: The backend, or a :class:`Scope` with the managers and feed classes of the application.
        roles: The fields of activities that may name the person.

    >>> from feedstore import Activity, connect
    >>> backend = connect("memory://")
    >>> backend.activity_storage().add(Activity("ann", "like", "photo:7"))
    1
    >>> [(one["record"], one["roles"]) for one in export_person("ann", backend)]
    [('activity', ['actor'])]
    """
    for part in _parts(person, where, checked_roles(roles)):
        yield from part.find()


def erase_person(
    person: UserId,
    where: Backend | Scope,
    *,
    roles: Iterable[str],
    with_ids: bool = False,
    on_report: Callable[[ErasureReport], object] | None = None,
) -> ErasureReport:
    """Erase the data of a person from a namespace, verify that it is gone, and return the report.

    It erases the activities that name the person, their entries in all timelines, the person's own timelines, the marks
    of notifications, the person's follows, blocks and mutes in both directions, the records of feed managers, the
    messages of queues, and the events whose source is the person. It reads the whole namespace, most of it twice, in
    bounded memory. If it is interrupted, call it again with the same arguments: it continues.

    Run it when the application no longer writes about the person. Data that is written during the call may stay, which
    the report shows as ``remaining``; then call it again.

    Args:
        person: The name of the person. An int and the str of its digits are the same person.
        where: The backend, or a :class:`Scope` with the managers and feed classes of the application.
        roles: The fields of activities that may name the person: ``"actor"``, ``"object"`` and ``"target"``. With
            ``"object"``, for example, the likes of others about the person are erased too.
        with_ids: Whether the report lists the ids of the erased activities, which are then in memory.
        on_report: Receives the report before the stored progress is deleted, for example to write it to a file.

    >>> from feedstore import Activity, connect
    >>> backend = connect("memory://")
    >>> backend.activity_storage().add(Activity("ann", "like", "photo:7"))
    1
    >>> report = erase_person("ann", backend, roles=["actor"])
    >>> report.counts, report.is_verified
    ({'activities': 1}, True)
    """
    parts = _parts(person, where, checked_roles(roles))
    first = parts[0]
    progress = ErasureProgress(first.scope.backend, first.person, first.roles)
    progress.save()
    _erase(parts, progress)
    report = _report(parts, progress, with_ids)
    if on_report is not None:
        on_report(report)
    if report.is_verified:
        progress.finish(_activities(parts).storages)
    else:
        progress.begin_again()
    return report


def _parts(person: UserId, where: Backend | Scope, roles: tuple[str, ...]) -> list[Part]:
    scope = where if isinstance(where, Scope) else Scope(where)
    name = user_text(checked_user(person, "person"))
    return [part(scope, name, roles) for part in _PARTS]


def _activities(parts: Iterable[Part]) -> ActivitiesPart:
    return next(one for one in parts if isinstance(one, ActivitiesPart))


def _erase(parts: Iterable[Part], progress: ErasureProgress) -> None:
    activities = _activities(parts)
    if _COLLECT not in progress.done:
        activities.collect(progress)
        progress.done.append(_COLLECT)
        progress.save()
    for part in parts:
        if part.name not in progress.done:
            part.erase(progress)
            progress.done.append(part.name)
            progress.save()


def _report(parts: list[Part], progress: ErasureProgress, with_ids: bool) -> ErasureReport:
    activities = _activities(parts)
    remaining = {part.name: part.count_left(progress) for part in parts}
    not_covered = activities.scope.not_covered
    not_covered += [
        f"{count} values of the collection {shown(name)} that its serializer cannot read"
        for name, count in activities.undecodable.items()
        if count
    ]
    for part in parts:
        if isinstance(part, QueuesPart) and part.held:
            reason = "consumers held them, or they are damaged"
            not_covered.append(f"{part.held} messages of queues that were not read: {reason}")
    ids = None
    if with_ids:
        found = {name: [id_to_text(one) for some in progress.ids(name) for one in some] for name in activities.storages}
        ids = {name: some for name, some in found.items() if some}
    return ErasureReport(
        person=activities.person,
        namespace=activities.scope.backend.namespace,
        roles=activities.roles,
        started=progress.started,
        finished=datetime.now(timezone.utc),
        runs=progress.runs,
        counts=dict(progress.counts),
        remaining=remaining,
        not_covered=not_covered,
        activity_ids=ids,
    )

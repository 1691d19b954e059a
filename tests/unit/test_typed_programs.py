"""The types that a user's program sees: mypy finds exactly the errors that the program marks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from house import tree

# A line with an error ends with a comment that names mypy's code.
PROGRAM = '''\
from typing import Any, assert_type

from feedstore import Activity, ActivityRef, connect
from feedstore.ids import id_to_text, id_to_uuid
from feedstore.serializers import JsonSerializer, MsgpackSerializer, Serializer
from feedstore.storage import ActivityStorage, Backend, Filter, Page, TimelineStorage


class Like(Activity):
    __slots__ = ()


class Words(Serializer[str]):
    def dumps(self, activity: Any) -> bytes:
        return b"like"

    def loads(self, data: bytes, activity_id: int) -> str:
        return data.decode()


backend = connect("memory://")
assert_type(backend, Backend)
timelines = backend.timeline_storage(name="feeds")
activities = backend.activity_storage()
like = Activity("ann", "like", "photo:7")

# What the serializer makes is what reads return.
assert_type(timelines, TimelineStorage[ActivityRef])
assert_type(timelines.get_slice("k", 0, 5), list[ActivityRef])
assert_type(timelines.get_page("k", 5), Page[ActivityRef])
assert_type(timelines.get_many_slices(["k"], 0, 5), dict[str, list[ActivityRef]])
assert_type(timelines.get_many_pages(["k"], 5), dict[str, Page[ActivityRef]])
assert_type(timelines.get_merged_page(["k"], 5), Page[ActivityRef])
timelines.get_slice("k", 0, 5)[0].serialization_id
timelines.get_slice("k", 0, 5)[0].actr  # error: attr-defined
timelines.get_slice("k", 0, 5)[0].actor  # error: attr-defined
for reference in timelines.get_page("k", 5):
    reference.actor  # error: attr-defined
assert_type(backend.timeline_storage(MsgpackSerializer).get_slice("k", 0, 5), list[Activity])
assert_type(backend.timeline_storage(serializer_class=Words).get_page("k", 5).items, list[str])
assert_type(backend.timeline_storage(JsonSerializer, Like), TimelineStorage[Any])

# Hydrated reads return what the activity storage makes.
assert_type(timelines.get_slice("k", 0, 5, hydrate_from=activities), list[Activity])
assert_type(timelines.get_page("k", 5, hydrate_from=activities).items, list[Activity])
assert_type(timelines.get_many_slices(["k"], 0, 5, hydrate_from=activities), dict[str, list[Activity]])
assert_type(timelines.get_many_pages(["k"], 5, hydrate_from=activities), dict[str, Page[Activity]])
assert_type(timelines.get_merged_page(["k"], 5, hydrate_from=activities), Page[Activity])
timelines.get_slice("k", 0, 5, hydrate_from=activities)[0].actr  # error: attr-defined
timelines.get_slice("k", 0, 5, hydrate_from=timelines)  # error: call-overload

assert_type(activities, ActivityStorage[Activity])
assert_type(activities.get(7), Activity | None)
assert_type(activities.get_many([7, like, like.reference, id_to_text(7)]), list[Activity])
assert_type(list(activities.iterate()), list[Activity])
assert_type(backend.activity_storage(JsonSerializer).get_many([7]), list[Activity])
assert_type(backend.activity_storage(activity_class=Like).get_many([7]), list[Like])
assert_type(timelines.get_slice("k", 0, 5, hydrate_from=backend.activity_storage(activity_class=Like)), list[Like])
activities.get(7).actor  # error: union-attr

# Writes take activities and ids.
for form in (like, like.reference, 7, id_to_uuid(7), id_to_text(7)):
    timelines.add("k", form)
timelines.add("k", ["list"])  # error: arg-type
timelines.add_many("k", [like, 7])
timelines.add_many("k", [like, None])  # error: list-item
timelines.add_to_each({"k": [like], "l": [7]})
timelines.remove("k", object())  # error: arg-type
activities.add(like)
activities.add("text")  # error: arg-type
activities.add_many([like, {"actor": "ann"}])  # error: list-item
activities.get({"id": 7})  # error: arg-type

# A filter has four names.
bounds: Filter = {"activity_id__lt": like, "activity_id__gte": 7}
timelines.get_slice("k", 0, 5, bounds)
timelines.get_slice("k", 0, 5, {"activity_id__gt": 7})
timelines.get_slice("k", 0, 5, {"activity_id__gr": 7})  # error: call-overload
timelines.get_many_slices(["k"], 0, 5, {"actor": "ann"})  # error: call-overload
timelines.count("k", {"activity_id__gr": 7})  # error: arg-type
timelines.count("k", {"activity_id__lt": [7]})  # error: arg-type
wrong: Filter = {"activity_id__gr": 7}  # error: typeddict-unknown-key


def bare(timelines: TimelineStorage, activities: ActivityStorage, page: Page) -> list[Activity]:
    """Annotations without an argument mean the default serializers."""
    assert_type(timelines.get_slice("k", 0, 5), list[ActivityRef])
    assert_type(page.items, list[Any])
    return activities.get_many([7])


bare(timelines, backend.activity_storage(activity_class=Like), timelines.get_page("k", 5))
with backend.batch() as batch:
    batch.timelines.add("k", like)
    batch.activities.add("text")  # error: arg-type
'''


def test_mypy_finds_the_marked_errors_and_no_other(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    cache = tree.ROOT / ".mypy_cache" / "program"
    options = ("--strict", "--config-file=", f"--cache-dir={cache}", "--no-error-summary", "--hide-error-context")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(program)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    found = re.findall(r"^\S*program\.py:(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.MULTILINE)
    marked = [
        (str(number), line.rpartition("# error: ")[2])
        for number, line in enumerate(PROGRAM.splitlines(), 1)
        if "# error: " in line
    ]
    assert len(marked) > 15
    assert found == marked, done.stdout + done.stderr

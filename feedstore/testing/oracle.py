"""The oracle: random sequences of operations, on a backend and on a model, compared after each step.

It needs hypothesis. :func:`run_oracle` takes the same ``open_backend`` as the suites::

    def test_the_oracle(open_backend):
        run_oracle(open_backend)
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from feedstore.ids import MAX_ID
from feedstore.serializers import MsgpackSerializer
from feedstore.storage import AtomicScope, Backend, Batch, EntryColumns, Page
from feedstore.testing import oracle_strategies as draw
from feedstore.testing.oracle_model import ModelPage, ModelSpace
from feedstore.testing.oracle_strategies import ITEM_NAMES, PAYLOAD_KEYS, REFERENCE_KEYS, Call
from feedstore.testing.samples import OLDEST_FIRST, with_id
from feedstore.testing.suite import OpenBackend

SPACES = st.sampled_from((0, 0, 0, 1))
"""The choice of one of two namespaces for an operation."""
HANDLES = st.integers(0, 1)
"""Through which of two backends, opened apart on the same store, it goes."""


class _StopError(Exception):
    """Exception that is raised inside a batch that must send nothing."""


@dataclass
class _Walk:
    """A walk by cursor that has not ended."""

    space: int
    storage: str
    key: str
    limit: int
    ordering: tuple[str, ...] | None
    cursor: str | None = None
    behind: int | None = None
    seen: list[int] = field(default_factory=list)


class _RealSpace:
    """One namespace as one handle sees it: its storages under the model's names."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.storages: dict[str, Any] = {
            "activities": backend.activity_storage(),
            "references": backend.timeline_storage(),
            "payloads": backend.timeline_storage(serializer_class=MsgpackSerializer),
            "named": backend.timeline_storage(name="named"),
            **{name: backend.kv_storage(name) for name in ITEM_NAMES},
        }


def run_oracle(
    open_backend: OpenBackend, examples: int = 60, steps: int = 25, deterministic: bool = True, shrink: bool = True
) -> None:
    """Compare a backend with the model over ``examples`` sequences of ``steps`` operations each.

    The operations are writes and edits of every storage, batches (atomic ones within the backend's atomic scope),
    reads, hydrated reads, walks by cursor with changes in between, and bad input, under two namespaces through two
    backends that are opened apart. ``deterministic`` draws the same ones each time; without it, hypothesis searches
    on. ``shrink`` looks for the shortest sequence that fails, which takes its time.
    """
    handles = [open_backend() for _ in range(2)]
    machine = type("Oracle", (OracleMachine,), {"handles": handles})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=deterministic,
            deadline=None,
            phases=[phase for phase in Phase if shrink or phase is not Phase.shrink],
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


class OracleMachine(RuleBasedStateMachine):
    """Carries each operation out on a backend and on the model. A subclass sets ``handles``."""

    handles: list[Backend]

    def __init__(self) -> None:
        super().__init__()
        abilities = self.handles[0].abilities
        names = [f"oracle-{uuid.uuid4().hex}" for _ in range(2)]
        self.reals = [[_RealSpace(handle.with_namespace(name)) for handle in self.handles] for name in names]
        self.models = [ModelSpace(abilities.exact_counts, ITEM_NAMES) for _ in names]
        self.can_be_atomic = abilities.atomic_scope in (AtomicScope.BACKEND, AtomicScope.EVENTUAL)
        self.writes = draw.writes(abilities.exact_fan_out_length, abilities.atomic_deliveries)
        self.can_be_conditional = abilities.conditional_writes
        self.walks: list[_Walk] = []

    def teardown(self) -> None:
        """Compare all remaining data with the model, also after a flush of the timelines, and empty the store."""
        for space in range(2):
            self._compare_everything(space, 0)
            self._compare(Call("references", "flush", (), {}), space, 0)
            self._compare_everything(space, 0)
            for storage in self.reals[space][0].storages.values():
                storage.flush()

    @initialize(data=st.data())
    def fill(self, data: Any) -> None:
        """Begin with something in each kind of storage, so that the first steps have something to change."""
        ids = data.draw(st.lists(draw.ids, min_size=6, unique=True))
        given = [with_id(activity_id, 0) for activity_id in ids]
        for storage, keys in (("references", REFERENCE_KEYS), ("payloads", PAYLOAD_KEYS)):
            self._compare(Call(storage, "add_to_many", (keys[:2], given), {}), 0, 0)
        self._compare(Call("activities", "add_many", (given[:-2],), {}), 0, 0)

    @rule(data=st.data(), space=SPACES, handle=HANDLES, twice=st.booleans())
    def write(self, data: Any, space: int, handle: int, twice: bool) -> None:
        """Carry out some writes, and perhaps repeat the last one to compare the counts of the repetition."""
        writes = self.writes | draw.conditional_writes if self.can_be_conditional else self.writes
        calls = data.draw(st.lists(writes, min_size=1, max_size=5))
        for call in (*calls, *calls[-1:] * twice):
            self._compare(call, space, handle)
            self._compare_everything(space, handle)

    @rule(calls=st.lists(draw.reads, min_size=1, max_size=5), space=SPACES, handle=HANDLES)
    def read(self, calls: list[Call], space: int, handle: int) -> None:
        """Carry out some reads."""
        for call in calls:
            self._compare(call, space, handle)

    @rule(
        call=draw.hydrated_reads,
        space=SPACES,
        source=SPACES,
        handles=st.tuples(HANDLES, HANDLES),
    )
    def read_hydrated(self, call: Call, space: int, source: int, handles: tuple[int, int]) -> None:
        """Carry out one hydrated read, from the activities of either namespace and handle."""
        real, model = self.reals[space][handles[0]], self.models[space]
        real_source = self.reals[source][handles[1]].storages["activities"]
        model_source = self.models[source].storages["activities"]
        found = outcome(real, call._replace(options={"hydrate_from": real_source}))
        expected = outcome(model, call._replace(options={"hydrate_from": model_source}))
        assert_same(found, expected, call)

    @rule(
        data=st.data(),
        space=SPACES,
        handle=HANDLES,
        atomic=st.booleans(),
        stop=st.sampled_from((False, False, False, True)),
    )
    def write_a_batch(self, data: Any, space: int, handle: int, atomic: bool, stop: bool) -> None:
        """Carry out several writes in one batch, or none of them where an exception stops it."""
        calls = data.draw(st.lists(self.writes, max_size=6))
        bad_writes = data.draw(st.lists(draw.bad_writes, max_size=1))
        real = self.reals[space][handle]
        batch = real.backend.batch(atomic=atomic and self.can_be_atomic)
        try:
            with batch:
                self._queue(batch, real, calls, bad_writes)
                if stop:
                    raise _StopError
        except _StopError:
            assert batch.results == []
            return
        expected = [outcome(self.models[space], call) for call in calls]
        assert batch.results == expected, calls

    def _queue(self, batch: Batch, real: _RealSpace, calls: list[Call], bad_writes: list[Any]) -> None:
        for call in calls:
            assert outcome(real, call, batch_interface=batch) is None
        for call, error in bad_writes:
            assert outcome(real, call, batch_interface=batch) is error, call

    @rule(
        bad=st.one_of(draw.bad_reads, draw.bad_writes),
        space=SPACES,
        handle=HANDLES,
    )
    def give_bad_input(self, bad: tuple[Call, type[Exception]], space: int, handle: int) -> None:
        """Make a call that is refused, and changes nothing."""
        call, error = bad
        assert outcome(self.reals[space][handle], call) is error, call

    @rule(
        space=SPACES,
        storage_and_key=st.one_of(
            st.tuples(st.just("references"), draw.reference_keys), st.tuples(st.just("payloads"), draw.payload_keys)
        ),
        limit=st.integers(1, 4),
        ordering=draw.orderings,
    )
    def begin_a_walk(
        self, space: int, storage_and_key: tuple[str, str], limit: int, ordering: tuple[str, ...] | None
    ) -> None:
        """Read the first page of a walk."""
        self._walk_on(_Walk(space, *storage_and_key, limit, ordering), 0, False)

    @rule(data=st.data(), handle=HANDLES, hydrated=st.booleans())
    def go_on_with_a_walk(self, data: Any, handle: int, hydrated: bool) -> None:
        """Read the next page of a walk that has not ended."""
        if self.walks:
            walk = self.walks.pop(data.draw(st.integers(0, len(self.walks) - 1)))
            self._walk_on(walk, handle, hydrated)

    def _walk_on(self, walk: _Walk, handle: int, hydrated: bool) -> None:
        if self._reads_on(walk, handle, hydrated):
            self.walks.append(walk)

    def _reads_on(self, walk: _Walk, handle: int, hydrated: bool) -> bool:
        """Compare the next page of a walk, and return whether another one follows."""
        real, model = self.reals[walk.space][handle], self.models[walk.space]
        sources = [space.storages["activities"] if hydrated else None for space in (real, model)]
        found = outcome(real, _page_call(walk, walk.cursor, sources[0]))
        expected = outcome(model, _page_call(walk, walk.behind, sources[1]))
        if not isinstance(found, Page) or not isinstance(expected, ModelPage):
            assert found == expected, walk
            return False
        assert (found.items, found.complete) == (expected.items, expected.complete), walk
        assert self._is_floor(found.floor, expected.floor), walk
        assert (found.next_cursor is None) == (expected.next_id is None), walk
        walk.seen += [item.serialization_id for item in found.items]
        assert len(walk.seen) == len(set(walk.seen)), walk
        walk.cursor, walk.behind = found.next_cursor, expected.next_id
        return walk.cursor is not None

    def _is_floor(self, found: int | None, expected: int | None) -> bool:
        if found is None or expected is None or self.handles[0].abilities.exact_floor:
            return found == expected
        return expected <= found <= MAX_ID + 1

    def _compare_everything(self, space: int, handle: int) -> None:
        for call in everything():
            self._compare(call, space, handle)
        for key in (*REFERENCE_KEYS, *PAYLOAD_KEYS):
            self._walk_to_the_end(_Walk(space, "references", key, 2, None), handle, False)
        self._walk_to_the_end(_Walk(space, "references", REFERENCE_KEYS[0], 3, OLDEST_FIRST), handle, True)

    def _walk_to_the_end(self, walk: _Walk, handle: int, hydrated: bool) -> None:
        while self._reads_on(walk, handle, hydrated):
            pass

    def _compare(self, call: Call, space: int, handle: int) -> None:
        assert_same(outcome(self.reals[space][handle], call), outcome(self.models[space], call), call)


def everything() -> Iterator[Call]:
    """Yield the calls that read all that a namespace holds, and some that read parts."""
    yield Call("activities", "iterate", (), {})
    yield Call("references", "keys", (), {})
    bounds = {"activity_id__gt": 2**53, "activity_id__lt": MAX_ID}
    for key in (REFERENCE_KEYS[0], PAYLOAD_KEYS[0]):
        yield Call("references", "get_slice", (key, 1, 3), {})
        yield Call("references", "get_slice", (key, 2, 5, {"activity_id__lte": 2**127}, OLDEST_FIRST), {})
        yield Call("references", "get_slice", (key, None, None, bounds), {})
        yield Call("references", "index_of", (key, 2**53), {})
    yield Call("payloads", "get_many_slices", (PAYLOAD_KEYS, 0, None, None, OLDEST_FIRST), {})
    yield Call("payloads", "get_columns", (PAYLOAD_KEYS[0], 20), {})
    yield Call("payloads", "get_merged_page", (PAYLOAD_KEYS, 5, None, None, OLDEST_FIRST), {})
    for key in (*REFERENCE_KEYS, *PAYLOAD_KEYS):
        yield Call("references", "count", (key,), {})
    yield Call("named", "get_many_slices", (REFERENCE_KEYS, 0, None), {})
    for name in ITEM_NAMES:
        yield Call(name, "items", (), {})


def outcome(space: Any, call: Call, **options: Any) -> Any:
    """Return the result of a call, an iterator as a list, or the type of the exception that it raises."""
    method: Callable[..., Any] = getattr(space.storages[call.storage], call.name)
    try:
        result = method(*call.arguments, **call.options, **options)
        if call.name == "keys" or isinstance(result, set):
            return sorted(result)
        if isinstance(result, EntryColumns):
            return list(zip(result.ids, result.payloads, strict=True))
        if isinstance(result, Page) and call.name == "get_merged_page":
            return result.items, result.next_cursor is None
        return list(result) if isinstance(result, Iterator) else result
    # The caller compares the type with the model's.
    except Exception as error:  # noqa: BLE001
        return type(error)


def assert_same(found: Any, expected: Any, call: Call) -> None:
    """Assert that a backend and the model gave the same, of the same types."""
    assert found == expected, call
    assert repr(found) == repr(expected), call


def _page_call(walk: _Walk, position: Any, source: Any) -> Call:
    arguments = (walk.key, walk.limit, position, walk.ordering, source)
    return Call(walk.storage, "get_page", arguments, {})

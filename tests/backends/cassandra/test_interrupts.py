"""Exceptions that a signal handler raises in the middle of a call: Ctrl-C, or a task queue's time limit."""

from __future__ import annotations

import subprocess
import sys

import pytest

import soak
from stores import fresh_namespace

INTERRUPTS = soak.count(300, 10_000)
SECONDS = soak.count(60, 600)

# Each call is interrupted at some moment, also while it connects. Acknowledged writes must be stored and listed.
PROGRAM = """
import random, signal, sys, threading, time
from feedstore import connect

class Interrupted(BaseException):
    pass

url, namespace, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
is_armed = False

def interrupt(*_):
    global is_armed
    if is_armed:
        is_armed = False
        raise Interrupted

signal.signal(signal.SIGALRM, interrupt)
backend = connect(url, namespace=namespace)
timelines, items = backend.timeline_storage(), backend.kv_storage()
many = [f"many{number}" for number in range(30)]
acknowledged, delivered, stored = {}, set(), {}
interrupts = number = 0

def write():
    if number % 4 == 0:
        timelines.add(f"key{number % 400}", number)
        acknowledged.setdefault(f"key{number % 400}", set()).add(number)
    elif number % 4 == 1:
        timelines.add_to_many(many, [number])
        delivered.add(number)
    elif number % 4 == 2:
        items.upsert(f"item{number % 100}", number)
        stored[f"item{number % 100}"] = number
    else:
        timelines.get_slice("many3", 0, 10)

def interrupt_within(seconds, call):
    # At a random moment, if it takes that long.
    global is_armed, interrupts
    try:
        is_armed = True
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, seconds))
        call()
    except Interrupted:
        interrupts += 1
    finally:
        is_armed = False

# While it connects, too: first at a random moment, then not any more.
for _ in range(3):
    interrupt_within(0.05, backend.ping)
backend.ping()
began = time.perf_counter()
for number in range(40):
    write()
usual = (time.perf_counter() - began) / 40
while interrupts < wanted:
    number += 1
    interrupt_within(1.5 * usual, write)
signal.setitimer(signal.ITIMER_REAL, 0)

def use(results):
    timelines.add("another thread", 1)
    results.append(timelines.count("another thread"))

results = []
threads = [threading.Thread(target=use, args=(results,)) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(30)
assert results == [1] * 4, results
listed = set(timelines.keys())
for key, ids in acknowledged.items():
    assert key in listed
    assert ids <= {one.serialization_id for one in timelines.get_slice(key, 0, None)}, key
for key in many:
    assert key in listed
    assert delivered <= {one.serialization_id for one in timelines.get_slice(key, 0, None)}, key
for key, value in stored.items():
    assert items.fetch_one(key) >= value
backend.close()
print("sound")
"""


@pytest.mark.soak
def test_interrupts_at_any_moment_lose_nothing_and_leave_the_backend_usable(cassandra_url: str) -> None:
    command = [sys.executable, "-c", PROGRAM, cassandra_url, fresh_namespace(), str(INTERRUPTS)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (ended.returncode, ended.stdout) == (0, "sound\n"), ended.stderr

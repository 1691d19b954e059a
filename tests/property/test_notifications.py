"""Notification feeds of every backend against the model."""

from __future__ import annotations

import pytest

import soak
from feedstore.testing import OpenBackend
from feedstore.testing.notification_oracle import run_notification_oracle


@pytest.mark.soak
def test_a_notification_feed_does_what_the_model_does(open_backend: OpenBackend) -> None:
    backend = open_backend()
    for seed in range(2, 2 + soak.count(1, 40)):
        run_notification_oracle(backend, seed, steps=soak.count(25, 300))

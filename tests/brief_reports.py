"""A worker of pytest-xdist that sends only the reports which say something.

By default a worker sends the controller four messages for each test that passes: its begin, and the ends of its setup,
its call and its teardown. To write, read and count them took 2 milliseconds of a test, and most tests take less.
"""

from __future__ import annotations

import pytest
from _pytest.runner import runtestprotocol


class BriefReports:
    """Report the call of a test, and its setup and teardown only if they do not pass."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run one test in place of pytest's own implementation."""
        for report in runtestprotocol(item, log=False, nextitem=nextitem):
            if report.when == "call" or not report.passed:
                item.ihook.pytest_runtest_logreport(report=report)
        # At this message, the controller ends a full line of dots.
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

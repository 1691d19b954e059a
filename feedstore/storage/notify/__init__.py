"""Notifications: subscribing to timelines that other threads and processes change."""

from feedstore.storage.notify.subscription import RECHECK_SECONDS, Notifier, Subscription, checked_notifier

__all__ = ["RECHECK_SECONDS", "Notifier", "Subscription", "checked_notifier"]

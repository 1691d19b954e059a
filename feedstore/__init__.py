"""feedstore stores activities and timelines, with one contract on every backend."""

from feedstore.activity import Activity, ActivityRef
from feedstore.errors import FeedstoreError
from feedstore.registry import connect
from feedstore.verbs import Verb, VerbRegistry

__version__ = "0.1.0"

__all__ = ["Activity", "ActivityRef", "FeedstoreError", "Verb", "VerbRegistry", "__version__", "connect"]

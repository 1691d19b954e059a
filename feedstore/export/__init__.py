"""Export: activities of a namespace, a timeline or a person as NDJSON, CSV or ActivityStreams 2.0.

>>> import io
>>> from feedstore import Activity, connect
>>> from feedstore.export import CollectionSource, export_activities
>>> with connect("memory://") as backend:
...     backend.activity_storage().add(Activity("ann", "like", "photo:7"))
...     export_activities(CollectionSource(backend), io.BytesIO()).rows
1
1
"""

from feedstore.export.exporter import ExportSummary, export_activities, write_records
from feedstore.export.output import Output
from feedstore.export.rows import EXPORT_FORMATS, activity_row
from feedstore.export.sources import (
    ROLES,
    ActivitySource,
    CollectionSource,
    PersonSource,
    TimelineSource,
    checked_roles,
    roles_of,
)

__all__ = [
    "EXPORT_FORMATS",
    "ROLES",
    "ActivitySource",
    "CollectionSource",
    "ExportSummary",
    "Output",
    "PersonSource",
    "TimelineSource",
    "activity_row",
    "checked_roles",
    "export_activities",
    "roles_of",
    "write_records",
]

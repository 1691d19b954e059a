"""Privacy: the erasure and the export of the data of a person, and rules of retention."""

from feedstore.privacy.person import erase_person, export_person
from feedstore.privacy.report import ErasureReport, report_digest
from feedstore.privacy.retention import RetentionResult, RetentionRule, apply_retention, read_rules
from feedstore.privacy.scope import Scope

__all__ = [
    "ErasureReport",
    "RetentionResult",
    "RetentionRule",
    "Scope",
    "apply_retention",
    "erase_person",
    "export_person",
    "read_rules",
    "report_digest",
]

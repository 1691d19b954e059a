"""``feedstore activity``: shows one activity."""

from __future__ import annotations

import argparse
from typing import Any

from feedstore.cli.options import add_common_options, open_existing_backend
from feedstore.cli.output import json_text, print_json, print_table, time_text
from feedstore.errors import NotFoundError
from feedstore.ids import id_to_text, parse_id
from feedstore.serializers.plain import activity_fields, plain_value
from feedstore.shown import shown

NAME = "activity"
HELP = "show one activity"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the id and the common options."""
    parser.add_argument("id", metavar="ID", help="the activity's id, as a UUID")
    add_common_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the activity."""
    activity_id = parse_id(arguments.id)
    with open_existing_backend(arguments) as backend:
        activity = backend.activity_storage().get(activity_id)
    if activity is None:
        raise NotFoundError(f"no activity {id_to_text(activity_id)} in the namespace {shown(arguments.namespace)}")
    fields = activity_fields(activity)
    if arguments.json:
        print_json(fields)
        return 0
    extra = fields.pop("extra_context")
    fields["time"] = time_text(fields["time"])
    rows = [(name, value) for name, value in fields.items() if value is not None]
    rows += [(f"extra_context.{name}", _text_of(value)) for name, value in plain_value(extra).items()]
    print_table(("field", "value"), rows)
    return 0


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else json_text(value)

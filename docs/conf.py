"""Sphinx's configuration. Nothing is fetched: references to other projects stay plain text."""

from __future__ import annotations

import builtins
import logging
import sys
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import feedstore

# The theme's package makes the root logger print every line of level INFO.
logging.getLogger("alembic").setLevel(logging.WARNING)

project = "feedstore"
author = "feedstore contributors"
version = release = feedstore.__version__
copyright = "2026, feedstore contributors"  # noqa: A001 - Sphinx's own name for it

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"feedstore {release}"

nitpicky = True
nitpick_ignore_regex = [
    # Names outside of feedstore have no page in this documentation.
    (r"py:.*", r"(?!feedstore\.).*"),
    # Private names, and classes that only split a documented one into files.
    (r"py:.*", r"feedstore\..*\._\w+"),
    (r"py:class", r"feedstore\.storage\.(base\.Writer|timeline_(writes|hooks|bulk_reads)\.Timeline\w+)"),
    (r"py:class", r"feedstore\.(storage\.documents\.nodes\.NodeCalls|backends\.sql\.document_nodes\.SqlNodes)"),
    (r"py:class", r"feedstore\.testing\.\w+_suite\.\w+Suite"),
    (r"py:class", r"feedstore\.backends\.(\w+\.store|\w+\.session|\w+\.timeline_(writes|questions))\.\w+"),
    (r"py:class", r"feedstore\.ingest\.(lines|table|writer)\.\w+"),
    (r"py:class", r"feedstore\.pubsub\.(cache_contents\.CacheContents|service_calls\.ServiceCalls)"),
    (r"py:class", r"feedstore\.storage\.notify\.\w+\.\w+"),
    (r"py:class", r"feedstore\.metrics\.exporter\.Exporter"),
    (r"py:class", r"feedstore\.ingest\.follows\.Edges"),
    (r"py:class", r"feedstore\.live\.connection\.\w+"),
    (r"py:class", r"feedstore\.channels\.rows\.RowBatch"),
    (r"py:class", r"feedstore\.backends\.sql\.database\.Database"),
    (r"py:class", r"feedstore\.events\.(layout|pattern|query|reader|writer)\.\w+"),
    (r"py:class", r"feedstore\.fanout\.(manager_core|relations|reading|deliveries|editing|targeting|publishing)\.\w+"),
    (r"py:class", r"feedstore\.feeds\.(writes\.FeedWrites|reads\.FeedReads)"),
    # Variables of generic classes.
    (r"py:.*", r"feedstore\.(serializers\.base\.Item|storage\.activity\.Stored)"),
    (r"py:.*", r"feedstore\.storage\.timeline_hooks\.TimelineItem"),
    (r"py:.*", r"feedstore\.(feeds\.reads\.Shown|storage\.page\.Made)"),
]

napoleon_numpy_docstring = False

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
# Autodoc would parse each function again for type comments, and there are none.
autodoc_use_type_comments = False
autodoc_default_options = {"members": True, "show-inheritance": True}


def resolve_short_name(
    app: Sphinx, environment: BuildEnvironment, node: pending_xref, text: nodes.TextElement
) -> nodes.reference | None:
    """Let a docstring name a class of another module by its short name, as the code beside it does."""
    package = node["reftarget"].removeprefix("~").partition(".")[0]
    if node.get("refdomain") != "py" or package == "None" or package in sys.stdlib_module_names:
        return None
    domain: Any = environment.domains.python_domain
    ending = "." + node["reftarget"].removeprefix("~")
    found = {(entry.docname, entry.node_id) for name, entry in domain.objects.items() if name.endswith(ending)}
    if len(found) != 1:
        return None
    ((page, anchor),) = found
    uri = app.builder.get_relative_uri(node["refdoc"], page) + "#" + anchor
    return nodes.reference("", "", text, internal=True, refuri=uri)


def keep_builtins_plain(app: Sphinx, doctree: nodes.document) -> None:
    """Show Python's own classes without a link: the annotation ``type`` is no field of a documented class."""
    for node in list(doctree.findall(pending_xref)):
        if node.get("refdomain") == "py" and node.get("reftype") == "class" and hasattr(builtins, node["reftarget"]):
            node.replace_self(node.children)


def limit_navigation(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Let the theme copy only the levels that have pages into each page's navigation, not every documented name.

    The theme shows the titles of pages alone. The other copies took a sixth of the whole build.
    """
    toctree = context.get("toctree")
    if toctree is not None:
        context["toctree"] = lambda **options: toctree(**{**options, "maxdepth": 2})


def setup(app: Sphinx) -> None:
    """Connect the handlers that Sphinx has no setting for."""
    app.connect("doctree-read", keep_builtins_plain)
    app.connect("missing-reference", resolve_short_name)
    # Before the theme's own handler.
    app.connect("html-page-context", limit_navigation, priority=400)

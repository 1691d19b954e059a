"""The revisions of the schema, each with both directions."""

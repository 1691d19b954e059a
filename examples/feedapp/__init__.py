"""A feed application: people follow each other, and see live what those they follow do."""

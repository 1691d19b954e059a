"""The Alembic environment of the SQL backend: ``alembic -c alembic.ini -x url=… upgrade head`` works in this folder."""

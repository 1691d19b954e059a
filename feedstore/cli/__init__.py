"""The command line: one sub-command per file.

Each sub-command's module has ``NAME``, ``HELP``, ``add_arguments(parser)`` and ``run(arguments) -> int``. It imports
what it works with inside its functions, so that ``feedstore --help`` does not wait for it.
"""

"""The command line: one sub-command per file.

Each sub-command's module has ``NAME``, ``HELP``, ``add_arguments(parser)`` and ``run(arguments) -> int``. It imports
no driver, no rich and no backend before it runs, so that ``feedstore --help`` does not wait for them.
"""

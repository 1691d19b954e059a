"""Names of the libraries that feedstore descends from, for programs that move to feedstore.

:mod:`feedstore.compat.stream_framework` and :mod:`feedstore.compat.eric_sse` hold the names that feedstore's own
packages do not use. :mod:`feedstore.compat.eric` makes a backend the storage of an installed eric-sse, and
:mod:`feedstore.compat.theia` imports the events of theia's SQL store.
"""

"""stream_framework, in an environment and a process of its own, on the same work as the product."""

"""The names under which a command line means its own streams and no file."""

from __future__ import annotations

# "-", and the names under which the kernel shows the same stream.
STANDARD_INPUT = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
STANDARD_OUTPUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")

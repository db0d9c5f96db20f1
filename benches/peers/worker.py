"""How a script of this folder is driven: it warms up, then measures once for every line it is sent, until there are no more.

So each tool is started and compiled once, and still measured in turn with the others; while one measures the rest wait.
"""
import sys


def serve(measure):
    """Prints `ready`, then what `measure()` returns for every line of standard input."""
    print("ready", flush=True)
    for _ in sys.stdin:
        print(measure(), flush=True)

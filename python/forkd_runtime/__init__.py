"""The warm Python runtime of forkd: it imports once, then forks into sandboxes.

Two programs: ``forkd_runtime.zygote`` (process engine, descriptor 3) and
``forkd_runtime.serve`` (inside a virtual machine, or without namespaces).
Standard library only, Python 3.8 and later.
"""

import sys

# What a bare interpreter has loaded before it looks at a script's directory: a file of the same
# name next to the script does not shadow these, neither there nor here.
STARTUP_MODULES = tuple(name for name in sys.modules if not name.startswith(__name__))

__version__ = "1"

"""The command ``mock-capi``, which replaces its process with the bundled binary."""

from __future__ import annotations

import os
import subprocess
import sys

from . import binary_path


def main() -> int:
    """Runs the binary with the arguments of this process."""
    command = [str(binary_path()), *sys.argv[1:]]
    if os.name == "nt":
        return subprocess.call(command)
    os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main())

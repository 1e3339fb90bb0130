"""Waits until a file appears, then ends with a status.  Arguments: FILE code=N.  It says `ready` on stdout first."""

import os
import sys
import time


def main() -> None:
    """Wait and end."""
    os.write(1, b"ready\n")
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.002)
    os._exit(int(sys.argv[2].partition("=")[2]))


main()

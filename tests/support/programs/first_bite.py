"""In its first life reads a few bytes of stdin and kills itself; in every later life copies stdin to a file, acknowledging lines when asked to.

Arguments: FOLDER bytes=N [acks=0|1].  FOLDER/first holds what the first life read, FOLDER/second what the later ones read.
"""

import os
import signal
import sys


def main() -> None:
    """One life."""
    folder = sys.argv[1]
    options = dict(argument.split("=", 1) for argument in sys.argv[2:])
    first = os.path.join(folder, "first")
    if not os.path.exists(first):
        wanted, data = int(options["bytes"]), b""
        while len(data) < wanted:
            data += os.read(0, wanted - len(data))
        with open(first, "wb") as file:
            file.write(data)
        os.kill(os.getpid(), signal.SIGKILL)
    target = os.open(os.path.join(folder, "second"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    while data := os.read(0, 65536):
        os.write(target, data)
        if options.get("acks") == "1":
            os.write(2, b"\n" * data.count(b"\n"))


main()

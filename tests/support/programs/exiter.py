"""Lives for a moment and exits: with a status of its own choice, which its witness file tells, or by a signal.

Arguments: WITNESS [lives_s=SECONDS] [code=N] [signal=N].  `C code` is written just before the end; a signal is written as its negative number.
"""

import os
import random
import sys
import time

import record


def main() -> None:
    """Sleep a little, say the end, end."""
    witness = record.Witness(sys.argv[1])
    options = record.options()
    time.sleep(random.random() * float(options.get("lives_s", "0.01")))
    number = int(options.get("signal", "0"))
    code = int(options.get("code", str(1 + witness.life % 100)))
    witness.say(b"C %d" % (-number if number else code))
    if number:
        os.kill(os.getpid(), number)
    os._exit(code)


main()

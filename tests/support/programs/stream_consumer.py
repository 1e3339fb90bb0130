"""Takes a stream of lines from stdin and, as a filter, writes each on to stdout; its witness file tells what it read and what it passed on.

Arguments: WITNESS [pass=0|1] [largest_read=N] [crash=P].  `G bytes`: bytes read so far in this life; `R life seq whole`: one line received; `P
life seq`: it is going to be passed on; `W life seq`: it is passed on; `E`: end-of-file.
"""

import os
import random
import signal
import sys

import lines
import record


def main() -> None:
    """Run until end-of-file."""
    witness = record.Witness(sys.argv[1])
    options = record.options()
    crash, passes, largest = float(options.get("crash", "0")), options.get("pass", "0") == "1", int(options.get("largest_read", "65536"))
    dice, rest, got = random.Random(), b"", 0
    while True:
        data = os.read(0, dice.choice([1, 100, 4096, 65536, largest]) if largest >= 65536 else largest)
        if not data:
            witness.say(b"E")
            break
        got += len(data)
        witness.say(b"G %d" % got)
        *whole_lines, rest = (rest + data).split(b"\n")
        for line in whole_lines:
            (life, seq), whole = lines.parse(line)
            witness.say(b"R %d %d %d" % (life, seq, whole))
            if dice.random() < crash:
                os.kill(os.getpid(), signal.SIGKILL)
            if passes:
                witness.say(b"P %d %d" % (life, seq))
                record.write_all(1, line + b"\n")
                witness.say(b"W %d %d" % (life, seq))


main()

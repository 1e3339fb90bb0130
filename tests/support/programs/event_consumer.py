"""Takes events from stdin and acknowledges each on stderr; its witness file tells what it received and what it acknowledged.

Arguments: WITNESS [crash=P] [noise=P] [ack=either|empty|echo] [pause=SECONDS] [timed=1].  crash: probability of killing itself, once before and
once after each acknowledgement.  `G lines`: whole lines read so far in this life; `R life seq whole`: one event taken up; `A life seq`: the write of
its acknowledgement has returned; `N n`: noise line n is written; `B us`: with timed=1, microseconds that its events took so far; `E`: end-of-file.
"""

import os
import random
import signal
import sys
import time

import lines
import record


def main() -> None:
    """Run until end-of-file."""
    witness = record.Witness(sys.argv[1])
    options = record.options()
    crash, noise, pause = float(options.get("crash", "0")), float(options.get("noise", "0")), float(options.get("pause", "0"))
    ack = options.get("ack", "either")
    timed, busy_s = options.get("timed", "0") == "1", 0.0
    dice, rest, got, noises = random.Random(), b"", 0, 0
    while True:
        data = os.read(0, dice.choice([1, 100, 4096, 65536, 65536]))
        if not data:
            witness.say(b"E")
            break
        *whole_lines, rest = (rest + data).split(b"\n")
        if not whole_lines:
            continue
        got += len(whole_lines)
        witness.say(b"G %d" % got)
        for line in whole_lines:
            began = time.monotonic()
            (life, seq), whole = lines.parse(line)
            witness.say(b"R %d %d %d" % (life, seq, whole))
            if dice.random() < crash:
                os.kill(os.getpid(), signal.SIGKILL)
            if dice.random() < noise:
                noises += 1
                os.write(2, b"noise %d %d of event %d\n" % (witness.life, noises, seq))
                witness.say(b"N %d" % noises)
            if pause:
                time.sleep(pause)
            echo = len(line) < 4000 and (ack == "echo" or (ack == "either" and dice.random() < 0.3))
            os.write(2, line + b"\n" if echo else b"\n")
            witness.say(b"A %d %d" % (life, seq))
            if timed:
                busy_s += time.monotonic() - began
                witness.say(b"B %d" % (busy_s * 1e6))
            if dice.random() < crash:
                os.kill(os.getpid(), signal.SIGKILL)


main()

"""Takes events from stdin, writes each on to stdout inside a line of its own, and acknowledges it on stderr only then.

Arguments: WITNESS [first=SEQ].  Its own lines are numbered from `first` on, in each life anew, and hold the whole line that was received.  `G
lines`: whole lines read so far in this life; `R life seq whole`: one event taken up; `P life seq`, `W life seq`: its own line is going to be
written, is written; `A life seq`: the write of the acknowledgement has returned; `E`: end-of-file.
"""

import os
import sys

import lines
import record


def main() -> None:
    """Run until end-of-file."""
    witness = record.Witness(sys.argv[1])
    own, rest, got = int(record.options().get("first", "0")), b"", 0
    while True:
        data = os.read(0, 65536)
        if not data:
            witness.say(b"E")
            break
        *whole_lines, rest = (rest + data).split(b"\n")
        got += len(whole_lines)
        witness.say(b"G %d" % got)
        for line in whole_lines:
            (life, seq), whole = lines.parse(line)
            witness.say(b"R %d %d %d\nP %d %d" % (life, seq, whole, witness.life, own))
            record.write_all(1, lines.seal(witness.life, own, line))
            witness.say(b"W %d %d" % (witness.life, own))
            own += 1
            os.write(2, b"\n")
            witness.say(b"A %d %d" % (life, seq))


main()

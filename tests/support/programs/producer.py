"""Writes numbered lines to stdout in pieces that cut lines anywhere, and says in its witness file what it was about to write and what it has written.

Arguments: WITNESS [seed=N] [count=N] [rate=LINES_A_SECOND] [stop=FILE] [then=wait|exit] [largest=N] [least=N] [first=SEQ] [crash=P] [text=FILE].
It writes `count` lines over all its lives, or until the file `stop` exists; then it says `F` and waits to be stopped (or exits).  `I seq`: lines up
to seq (exclusive) will be in the next write; `D seq`: lines up to seq are written.
"""

import os
import random
import signal
import sys
import time

import lines
import record


def main() -> None:
    """Run until the count is reached or the stop file appears."""
    witness = record.Witness(sys.argv[1])
    options = record.options()
    seed, count = int(options.get("seed", "1")), int(options.get("count", str(1 << 60)))
    rate, stop = float(options.get("rate", "0")), options.get("stop", "")
    least, first = int(options.get("least", "0")), int(options.get("first", "0"))
    largest, crash = int(options.get("largest", str(lines.LONGEST))), float(options.get("crash", "0"))
    text = lines.text_of(options["text"]) if "text" in options else None
    seq = max([first, *(int(entry.split()[1]) for entry in witness.past if entry[:2] in (b"D ", b"I "))])
    dice = random.Random()
    held, done, began, wrote = bytearray(), seq, time.monotonic(), 0
    bounds: list[tuple[int, int]] = []  # (bytes from the beginning of `held` to the end of a line, its seq + 1)
    while True:
        ended = seq >= count or bool(stop and os.path.exists(stop))
        while not ended and seq < count and len(held) < dice.choice([200, 4096, 4096, 30_000]):
            held += lines.make(seed, witness.life, seq, largest, least, text)
            seq += 1
            bounds.append((len(held), seq))
        if not held:
            break
        piece = bytes(held) if ended else bytes(held[: dice.randint(1, len(held))])
        # the intent names every line of which a byte may be in the pipe after this write
        intent = next(number for end, number in bounds if end >= len(piece))
        witness.say(b"I %d" % intent)
        record.write_all(1, piece)
        del held[: len(piece)]
        while bounds and bounds[0][0] <= len(piece):
            done = bounds.pop(0)[1]
            wrote += 1
        bounds = [(end - len(piece), number) for end, number in bounds]
        witness.say(b"D %d" % done)
        if dice.random() < crash:
            os.kill(os.getpid(), signal.SIGKILL)
        if rate:
            ahead = wrote / rate - (time.monotonic() - began)
            if ahead > 0.002:
                time.sleep(ahead)
    witness.say(b"F %d" % done)
    while options.get("then", "wait") == "wait":
        signal.pause()


main()

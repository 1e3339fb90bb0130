"""Writes into one file that all share when it is up, when it is told to end, and when it has ended: `up NAME`, `ending NAME`, `down NAME`.

    orderly.py FILE NAME [end=SECONDS] [exit=STATUS]

end: what it takes its time for when it is told to end.  exit: ends by itself with this status after `after` seconds.
"""

import os
import signal
import sys
import time

path, name = sys.argv[1:3]
said = dict(argument.split("=", 1) for argument in sys.argv[3:])


def say(word: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(descriptor, f"{word} {name}\n".encode())
    os.close(descriptor)


def end(_number: int, _frame: object) -> None:
    say("ending")
    time.sleep(float(said.get("end", "0")))
    say("down")
    os._exit(0)


signal.signal(signal.SIGTERM, end)
say("up")
if "exit" in said:
    time.sleep(float(said.get("after", "0")))
    say("down")
    os._exit(int(said["exit"]))
while True:
    signal.pause()

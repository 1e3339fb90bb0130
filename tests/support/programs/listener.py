"""An event listener that writes each event to a file: `serial eventname length payload` as one line of JSON.

Arguments: FILE [fail=N] [nonsense=N] [hang=N]: it fails the first N events, answers the N-th with nonsense, or never answers the N-th.
"""

import json
import sys
import time


def main() -> None:
    path, *words = sys.argv[1:]
    options = dict(word.split("=") for word in words)
    fail, nonsense, hang = (int(options.get(name, "0")) for name in ("fail", "nonsense", "hang"))
    source = sys.stdin.buffer
    count = 0
    while True:
        sys.stdout.write("READY\n")
        sys.stdout.flush()
        line = source.readline()
        if not line:
            return
        head = dict(word.split(":", 1) for word in line.decode().split())
        payload = source.read(int(head["len"]))
        count += 1
        with open(path, "a", encoding="utf-8") as file:
            row = {"head": line.decode(), "name": head["eventname"], "serial": int(head["serial"]), "payload": payload.decode()}
            file.write(json.dumps(row) + "\n")
        while count == hang:
            time.sleep(1)
        sys.stdout.write("nonsense\n" if count == nonsense else "RESULT 4\nFAIL" if count <= fail else "RESULT 2\nOK")
        sys.stdout.flush()


main()

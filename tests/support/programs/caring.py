"""A program that does, in order, what its arguments say; then it stays.

say:TEXT        to NOTIFY_SOCKET            print:TEXT   a line on stdout
wait:SECONDS    sleep                       listen:PORT  take connections
http:PORT:FILE  answer each request with the status that the file holds
dog:S:N         N times: S seconds, then WATCHDOG=1
eat:MIB         hold so much memory         burn         use a processor
until:FILE      wait for a file             end:STATUS   end
deaf            ignore SIGTERM              note:FILE    on SIGTERM add `signal` to the file and end
"""

import os
import signal
import socket
import sys
import time

held = []


def serve(port):
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", port))
    server.listen(64)
    held.append(server)
    return server


def answer(server, path):
    while True:
        peer, _ = server.accept()
        with peer:
            peer.recv(4096)
            with open(path) as file:
                peer.sendall(f"HTTP/1.1 {file.read().strip()} x\r\nContent-Length: 0\r\n\r\n".encode())


def say(text):
    speaker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    speaker.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
    speaker.close()


def noted(path):
    def ended(_number, _frame):
        with open(path, "a") as file:
            file.write("signal\n")
        os._exit(0)

    return ended


for argument in sys.argv[1:]:
    verb, _, rest = argument.partition(":")
    if verb == "say":
        say(rest)
    elif verb == "print":
        print(rest, flush=True)
    elif verb == "wait":
        time.sleep(float(rest))
    elif verb == "listen":
        serve(int(rest))
    elif verb == "http":
        port, _, path = rest.partition(":")
        answer(serve(int(port)), path)
    elif verb == "dog":
        seconds, _, times = rest.partition(":")
        for _ in range(int(times)):
            time.sleep(float(seconds))
            say("WATCHDOG=1")
    elif verb == "eat":
        held.append(bytearray(os.urandom(1 << 20) * int(rest)))
    elif verb == "burn":
        while True:
            pass
    elif verb == "until":
        while not os.path.exists(rest):
            time.sleep(0.01)
    elif verb == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif verb == "note":
        signal.signal(signal.SIGTERM, noted(rest))
    elif verb == "end":
        sys.exit(int(rest))
while True:
    signal.pause()

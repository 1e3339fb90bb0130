"""Leaves descendants behind in every way it knows, all of them deaf to SIGTERM and holding stdout open, then stays (or not).

Arguments: FOLDER [stay=0|1].  Each descendant writes an empty file named by its pid into FOLDER when it is ready; so does the program itself, last.
"""

import os
import signal
import sys

DEAF = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE)


def linger(folder: str) -> None:
    """Say that we are here, then wait for ever."""
    for number in DEAF:
        signal.signal(number, signal.SIG_IGN)
    open(os.path.join(folder, str(os.getpid())), "w").close()
    while True:
        signal.pause()


def daemon(folder: str, *, new_session: bool, forget_environment: bool) -> None:
    """Fork twice, so that the descendant is nobody's child any more."""
    first = os.fork()
    if first:
        os.waitpid(first, 0)
        return
    if new_session:
        os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    if forget_environment:
        # a second life of this program without any variable, so that no cookie tells whose it is
        os.execve(sys.executable, [sys.executable, "-S", "-E", "-s", os.path.abspath(__file__), folder, "only=linger"], {})
    linger(folder)


def main() -> None:
    """Make three daemons, then linger or end."""
    folder = sys.argv[1]
    if "only=linger" in sys.argv:
        linger(folder)
    daemon(folder, new_session=False, forget_environment=False)
    daemon(folder, new_session=True, forget_environment=False)
    daemon(folder, new_session=True, forget_environment=True)
    if "stay=0" in sys.argv:
        open(os.path.join(folder, str(os.getpid())), "w").close()
        return
    linger(folder)


main()

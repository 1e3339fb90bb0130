"""Real text for tests: the logs of the Loghub collection where they are, made-up text else.

They are looked for in the folder that EFS_TEST_DATA names, or in ../shared/data beside the checkout, and read there, never copied into the project.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

from tests.support.supervisor import ROOT

NAMES = ("OpenSSH_2k.log", "Apache_2k.log")


def real_text() -> list[Path]:
    """The logs that are there."""
    places = [Path(folder) for folder in (os.environ.get("EFS_TEST_DATA", ""), str(ROOT.parent / "shared" / "data")) if folder]
    return [place / name for place in places for name in NAMES if (place / name).is_file()]


def text_file(folder: Path, seed: int) -> Path:
    """A file of text: a real log, or some thousand made-up lines below `folder`."""
    if real := real_text():
        return real[seed % len(real)]
    dice, path = random.Random(seed), folder / "text"
    words = [bytes(dice.choices(b"abcdefghijklmnopqrstuvwxyz.[]:/0123456789", k=dice.randint(1, 12))) for _ in range(500)]
    path.write_bytes(b"".join(b" ".join(dice.choices(words, k=dice.randint(1, 30))) + b"\n" for _ in range(2000)))
    return path

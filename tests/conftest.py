"""What holds for every test.

    unit      no processes of ours, no waiting; mirrors the package
    contract  what must stay as it is between parts and versions: frames, layers, documents
    system    the daemon, real processes, deaths
    chaos     kills at random and at fault points

Hypothesis has no deadline: a test is right or wrong, not fast or slow, and the machine may be busy.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("efsupervisor", deadline=None, print_blob=True)
settings.load_profile("efsupervisor")

"""efsupervisord started by a user who is not root: this becomes `nobody` and stays that, then is an ordinary daemon.

Everything that may be imported late is imported before, since an interpreter that lies in root's own folder cannot be read afterwards.
"""

from __future__ import annotations

import difflib  # noqa: F401
import encodings.ascii
import encodings.idna
import encodings.latin_1  # noqa: F401
import importlib
import importlib.metadata
import os
import pkgutil
import pwd
import shutil  # noqa: F401
import sys
import traceback  # noqa: F401

sys.path.remove(os.path.dirname(os.path.abspath(__file__)))  # a helper of the tests must not stand in for a module of the library

import efsupervisor
from efsupervisor.core.main import main


def import_everything() -> None:
    """Every module of the package that can be imported without starting anything."""
    for module in pkgutil.walk_packages(efsupervisor.__path__, "efsupervisor."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def become_nobody() -> None:
    """No way back."""
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setresgid(nobody.pw_gid, nobody.pw_gid, nobody.pw_gid)
    os.setresuid(nobody.pw_uid, nobody.pw_uid, nobody.pw_uid)


if __name__ == "__main__":
    import_everything()
    become_nobody()
    sys.exit(main())

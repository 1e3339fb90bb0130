"""`python -m efsupervisor.cli` is efctl."""

from __future__ import annotations

from efsupervisor.cli.main import main

main()

"""efsupervisord whose siblings are those of sibling_programs.py."""

import sys

from efsupervisor.core import services
from efsupervisor.core.main import main

services.MODULE = "tests.support.sibling_programs"

if __name__ == "__main__":
    sys.exit(main())

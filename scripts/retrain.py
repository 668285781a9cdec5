"""One night's training: learns from corrections, and promotes the result only if nothing is worse.

    scripts/retrain.py [--replay DATA] [--minutes M] [--at-least N] [--json]

Settings come from where `cyclorama` has them. Killed and started again, it goes on where it was.
"""

import sys

from worker.night.cli import main

if __name__ == "__main__":
    sys.exit(main())

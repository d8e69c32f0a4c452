"""Run the command `pagelab` as `python -m pagelab`."""

import sys

from pagelab.cli import main

sys.exit(main())

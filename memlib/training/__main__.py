"""`python -m memlib.training NAME`: train networks and write checkpoints; see `trainer`."""

import sys

from memlib.training.trainer import main

sys.exit(main())

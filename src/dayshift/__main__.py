"""`python -m dayshift` is `dayshift`."""

import sys

from dayshift.cli import main

sys.exit(main())

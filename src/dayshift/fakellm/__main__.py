import sys

from dayshift.fakellm.command import main

sys.exit(main(sys.argv[1:]))

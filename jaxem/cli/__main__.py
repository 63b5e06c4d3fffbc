import sys

from jaxem.cli import main

sys.exit(main())

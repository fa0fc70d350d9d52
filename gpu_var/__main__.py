"""`python -m gpu_var`."""

import sys

from gpu_var.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""`settle.py STACK [--before-destroy]`: order after a killed run; see infra/stack/settle.py."""

import sys

from infra.stack.__main__ import main
from infra.stack.state import Stack

if __name__ == "__main__":
    sys.exit(main("settle", Stack.here(sys.argv[1]), sys.argv[2:]))

"""`engine_run.py STACK VERB [OPTION …]`: one run of the engine as `make up` has it, without what goes around it.

Program and plugin are in this process. Each run of the bare command starts three of Python instead, which import
what they work with: two thirds of what a run that changes little costs.
"""

import os
import sys

from infra.stack.engine import run
from infra.stack.verbs import load_program

if __name__ == "__main__":
    code = run(*sys.argv[1:], load=load_program)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

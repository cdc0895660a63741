"""`python -m infra.arc.emulator serve --folder FOLDER`: the server itself; `daemon` starts it."""

from infra.arc.emulator.server import main

main()

"""What breaks on a connection. Like all that imports paramiko, only imported where SSH is really spoken."""

from __future__ import annotations

from typing import Final

import paramiko

NETWORK_ERRORS: Final = (paramiko.SSHException, EOFError, OSError)
"""What paramiko raises when a connection breaks."""

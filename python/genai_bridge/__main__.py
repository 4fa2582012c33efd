"""`python -m genai_bridge` is the command `genai-bridge`."""

import os
import subprocess
import sys

from genai_bridge import binary

command = [binary(), *sys.argv[1:]]
if os.name == "nt":  # there, exec returns to the shell before the command ends
    sys.exit(subprocess.call(command))
os.execv(command[0], command)

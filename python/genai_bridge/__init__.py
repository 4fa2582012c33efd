"""A sidecar for Google's Python clients: it carries their calls where a proxy breaks gRPC.

    import genai_bridge
    with genai_bridge.sidecar() as address:
        genai.configure(client_options={"api_endpoint": address})   # google-generativeai; google-genai needs no line
"""

import contextlib
import json
import os
import subprocess
import sys
import sysconfig

__all__ = ["binary", "sidecar"]

# Tells its environment, as `genai-bridge run` has set it, and stays until its parent is gone.
_CHILD = "import json, os, sys; print(json.dumps(dict(os.environ)), flush=True); sys.stdin.read()"


def binary():
    """The path of the command `genai-bridge` that came with this package."""
    name = "genai-bridge" + (sysconfig.get_config_var("EXE") or "")
    schemes = [sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user")]
    folders = [sysconfig.get_path("scripts", scheme) for scheme in schemes]
    for folder in folders:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            return path
    raise FileNotFoundError(f"{name} is in none of {', '.join(folders)}: install genai-bridge again")


@contextlib.contextmanager
def sidecar(*options):
    """Runs a sidecar, and gives its address, `localhost:PORT`.

    Until the end of the `with` block the environment of this process names the sidecar, makes gRPC trust it, and keeps
    it off proxies. Create clients inside the block. `options` are those of `genai-bridge run`, for instance
    `"--proxy", "http://proxy.corp:3128"`.
    """
    command = [binary(), "run", *options, "--", sys.executable, "-c", _CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the sidecar did not start (exit code {process.wait()}); stderr says why")
        before = dict(os.environ)
        environment = json.loads(line)
        os.environ.update(environment)
        try:
            yield environment["GENAI_BRIDGE_ADDRESS"]
        finally:
            for name in environment:
                if name in before:
                    os.environ[name] = before[name]
                else:
                    os.environ.pop(name, None)
            process.stdin.close()

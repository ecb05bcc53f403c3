"""Real virtual environments for the built wheel, which notice every use of the network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from consumer_repository import ROOT

GUARD = """\
import os, sys

def _refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"):
        with open({log!r}, "a") as log:
            log.write(f"{{event}} {{arguments[1:]}}\\n")
        raise OSError("no network here")

sys.addaudithook(_refuse)
"""
"""Nobody can take an audit hook away; it writes down what it refuses, so an attempt that is swallowed is seen too."""


def build(folder: Path, *kinds: str, source: Path = ROOT) -> list[Path]:
    """What ``python -m build`` makes of the clone: a sdist and, from that, a wheel; or the ``kinds`` alone."""
    command = [sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return sorted(folder.iterdir())


class Environment:
    """A virtual environment without pip; the one that runs the tests installs into it."""

    def __init__(self, folder: Path, on: Environment | None = None) -> None:
        self.cut = False
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.bin = folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.bin / "python"
        self.log = folder / "network.log"
        self.site = Path(self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
        if on is not None:  # what is installed there counts here as installed
            (self.site / "on.pth").write_text(f"{on.site}\n")

    def install(self, *requirements: str) -> None:
        """With all that they need; compiling 100,000 lines that no test imports would take half of the time."""
        command = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--quiet", "--no-compile"]
        subprocess.run([*command, "--disable-pip-version-check", *requirements], check=True, capture_output=True)

    def cut_off(self) -> None:
        """From here on no process of it reaches the network, and :meth:`tried` tells which one tried."""
        self.cut = True
        (self.site / "no_network.py").write_text(GUARD.format(log=str(self.log)))
        (self.site / "no_network.pth").write_text("import no_network\n")

    def tried(self) -> str:
        """The attempts to reach the network since the last question."""
        found = self.log.read_text() if self.log.is_file() else ""
        self.log.unlink(missing_ok=True)
        return found

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """The environment's Python; where Linux allows it, in a network namespace that has no network at all."""
        command = [*(_ALONE if self.cut else []), str(self.python), *arguments]
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "PYTHON", "HF_"))}
        kept["PATH"] = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        kept.pop("CI", None)
        return subprocess.run(command, cwd=cwd, env=kept, capture_output=True, text=True, check=False)


class Terminal:
    """A shell in an empty folder, which finds this project where pip looks for it, and nothing of it elsewhere.

    Args:
        folder: where commands are typed; what is activated there is ``.venv``.
        wheels: a folder with the built wheel.
        variables: further ones of the environment.
    """

    def __init__(self, folder: Path, wheels: Path, **variables: str) -> None:
        self.folder = folder
        self.seconds: list[float] = []
        """What each command took."""
        foreign = ("PYTEST_", "PYTHON", "HF_", "COV_", "GITHUB_", "IMAGE_SPANS_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        for name in ("CI", "VIRTUAL_ENV"):
            kept.pop(name, None)
        self._variables = {
            **kept,
            "PATH": f"{folder / '.venv' / 'bin'}{os.pathsep}{kept['PATH']}",  # what activating it does
            "PIP_FIND_LINKS": str(wheels),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "COLUMNS": "120",
            **variables,
        }

    def __call__(self, command: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Type a command."""
        began = time.perf_counter()
        ran = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=self._variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        self.seconds.append(time.perf_counter() - began)
        return ran


def _namespace() -> list[str]:
    command = ["unshare", "-rn"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command, "true"], capture_output=True, check=False).returncode
    ):
        return []
    return command


_ALONE = _namespace()

"""A warm process that runs pytest on one folder after another, each run in a fresh child of its own.

The libraries are imported once, here, and nothing is run here: a child begins with no state of another run (modules of
the user, paths, profiles of Hypothesis, caches, threads), and its streams and its exit code are the real ones. A line
of JSON on stdin asks for a run, a line of JSON on stdout is the answer.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import resource
import signal
import sys
import time
from pathlib import Path

TRIPPED = 99
"""The exit code of a run that did what no YAML may bring about."""
SECONDS = 30
MEMORY = 4 << 30
_PROCESSES = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen", "pty.spawn")
_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request")
_end = os._exit
"""Itself: the plugin puts another function in its place."""


def warm() -> None:
    """Import what a run would, so that each child finds it there."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # threads do not survive a fork
    import image_spans

    for info in pkgutil.walk_packages(image_spans.__path__, "image_spans."):
        # pytest rewrites the plugin itself, and the property tests belong to the runs.
        if not info.name.startswith(("image_spans.plugin", "image_spans.scheduling", "image_spans.__main__")):
            importlib.import_module(info.name)
    for name in ("sentencepiece", "tiktoken", "tokenizers", "hypothesis", "rich.table", "pytest"):
        importlib.import_module(name)
    from hypothesis.internal.conjecture import engine  # noqa: F401

    from image_spans.tokenizers.transformers import library

    assert library().PreTrainedTokenizerFast  # transformers imports a class when it is asked for

    gc.collect()
    gc.freeze()


def watch(folder: Path, words: int) -> None:
    """From here on, a process, a connection, or a file written outside of the folder ends the run."""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        bad = event in _PROCESSES or event in _NETWORK
        if event == "open" and isinstance(arguments[0], (str, bytes)):
            path, _, flags = arguments
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            target = os.path.abspath(os.fsdecode(path))
            bad = bool(writes) and not f"{target}{os.sep}".startswith((f"{folder}{os.sep}", "/dev/"))
        if bad:
            os.write(words, f"tripwire: {event} {arguments!r}\n".encode("ascii", "backslashreplace"))
            _end(TRIPPED)

    sys.addaudithook(hook)


def child(folder: Path, arguments: list[str], out: int, err: int) -> int:
    """Run pytest as ``python -m pytest`` does; its exit code."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.chdir(folder)
    sys.path.insert(0, "")
    sys.argv = ["pytest", *arguments]
    watch(folder, err)
    import pytest

    code = int(pytest.main(arguments))
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def run(folder: Path, arguments: list[str]) -> dict[str, object]:
    """One run; ``code`` is None where it did not end in time."""
    results = [folder.parent / f"{folder.name}.{name}" for name in ("out", "err")]
    files = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for path in results]
    process = os.fork()
    if not process:
        code = 98
        try:
            code = child(folder, arguments, *files)
        except BaseException:
            import traceback

            os.write(files[1], traceback.format_exc().encode("ascii", "backslashreplace"))
        finally:
            os._exit(code)
    for file in files:
        os.close(file)
    deadline = time.monotonic() + SECONDS
    code: int | None = None
    while True:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            break
        if time.monotonic() > deadline:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            break
        time.sleep(0.002)
    out, err = (path.read_text(encoding="utf-8", errors="backslashreplace") for path in results)
    return {"code": code, "out": out, "err": err}


def main() -> None:
    warm()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(run(Path(request["folder"]), request["arguments"])), flush=True)


if __name__ == "__main__":
    main()

"""How a command of ``python -m image_spans`` ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TypeVar

from image_spans.errors import ConfigError, Unavailable

T = TypeVar("T")


def exit_code(command: Callable[[T], int], chosen: T) -> int:
    """Run a command; its exit code, or 2 with one line where something that the user gave is wrong."""
    try:
        code = command(chosen)
        sys.stdout.flush()
        return code
    except (ConfigError, Unavailable) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    except OSError as error:
        if error.filename is not None:
            raise
        if not isinstance(error, BrokenPipeError):  # else nobody reads on
            print(f"standard output cannot be written: {error.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2

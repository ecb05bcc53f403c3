"""Rows judged on a cluster: Ray Data reads the files, and hands their rows to judges wherever it has room.

A file is read by one task, as without a cluster, so a row keeps its number; its rows go on in batches, and come back in
their order. What a worker had under way that was lost, Ray does again, and takes its result once. A row that ends each
process which judges it would be tried for ever: so a judge of Ray's has that process for itself (``Pool``), which finds
the row out.
"""

from __future__ import annotations

import importlib
import logging
import os
import pickle
import re
import socket
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from image_spans.errors import ConfigError, Unavailable, words
from image_spans.scan import loop
from image_spans.scan.judge import Judged
from image_spans.scan.tally import Tally
from image_spans.scan.workers import Pool, Recipe, batches

LOCAL = "local"
"""The address that starts a cluster on this machine, for this scan alone."""
BLOCK_BYTES = 1 << 20
"""What Ray hands from the readers to the judges at once; a batch of rows is never divided."""


@dataclass(frozen=True)
class Cluster:
    """Where to judge, and how.

    Args:
        address: of a running cluster, as ``ray.init`` takes it; ``local`` starts one here.
        recipe: of the judges. Its file, and the data, are found at the same paths on every machine.
        workers: how many judges there are at most; None: one for each CPU of the cluster.
        with_checks: False: they look at the data alone.
    """

    address: str
    recipe: Recipe
    workers: int | None
    with_checks: bool

    def judge(
        self,
        files: Sequence[loop.Part],
        tally: Tally,
        wanted: loop.Wanted | None = None,
        tell: Callable[[int], None] = lambda _: None,
    ) -> Generator[Judged, None, None]:
        """The verdicts of the rows of files, in order.

        Args:
            files: what to read.
            tally: is told of what cannot be read, and of processes that ended.
            wanted: the rows that are wanted; None: all.
            tell: is told how many bytes of all were read.

        Raises:
            ConfigError: there is no such cluster, or it cannot load the subject.
        """
        if not files:
            return
        with _connected(self.address, self.workers) as ray:
            try:
                for row in self._dataset(ray, files, wanted).iter_rows():
                    done: _Done = pickle.loads(row["done"])
                    if done.error:
                        raise ConfigError(done.error)
                    tally.unread += done.unread
                    tally.ended += done.ended
                    yield from done.verdicts
                    tell(sum(part.size for part in files[: done.part]) + done.position)
            except ray.exceptions.RayError as error:
                raise ConfigError(f"--ray {self.address}: {words(error)}") from None

    def _dataset(self, ray: Any, files: Sequence[loop.Part], wanted: loop.Wanted | None) -> Any:
        judges = self.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.target_max_block_size = BLOCK_BYTES
        context.enable_progress_bars = context.print_on_execution_start = False
        context.log_internal_stack_trace_to_stdout = False
        parts = []
        for number, part in enumerate(files):
            own = None if wanted is None else {part.path: wanted[part.path]}
            parts.append({"part": pickle.dumps((number, part, own))})
        folder = os.getcwd()
        # Readers take no CPU of a judge, and are not made one with it: all judges may work on one file.
        read = ray.data.from_items(parts, override_num_blocks=len(parts)).flat_map(
            _Reader(folder), num_cpus=0, concurrency=min(judges, len(parts))
        )
        return read.map_batches(
            _Judge,
            fn_constructor_args=(folder, self.recipe, self.with_checks),
            batch_size=1,
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=judges),
        )


@dataclass
class _Given:
    """A batch of rows on its way to a judge."""

    part: int
    position: int
    """Bytes of the file that were read by then."""
    rows: Sequence[Any] = ()
    unread: Sequence[tuple[str, str]] = ()


@dataclass
class _Done:
    """The same on its way back."""

    part: int
    position: int
    verdicts: Sequence[Judged] = ()
    unread: Sequence[tuple[str, str]] = ()
    ended: Sequence[str] = ()
    error: str = ""
    """Why there can be no verdict of anything."""


class _Reader:
    """On some machine: from a file to batches of its rows."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __call__(self, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        number, part, wanted = pickle.loads(item["part"])
        os.chdir(self._folder)
        tally = Tally()
        position = 0

        def tell(at: int) -> None:
            nonlocal position
            position = at

        for batch in batches(enumerate(loop.rows([part], tally, wanted, tell))):
            yield {"given": pickle.dumps(_Given(number, position, [row for _, row in batch]))}
        if tally.unread:
            yield {"given": pickle.dumps(_Given(number, position, unread=tally.unread))}


class _Judge:
    """On some machine: from batches of rows to their verdicts, by a process of its own."""

    def __init__(self, folder: str, recipe: Recipe, with_checks: bool) -> None:
        os.chdir(folder)
        self._ended: list[str] = []
        self._pool = Pool(1, recipe, with_checks=with_checks, ended=self._ended.append)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        given: _Given = pickle.loads(batch["given"][0])
        done = _Done(given.part, given.position, unread=given.unread)
        try:
            done.verdicts = list(self._pool.judge(given.rows))
        except ConfigError as error:
            done.error = str(error)
        done.ended = list(self._ended)
        self._ended.clear()
        return {"done": [pickle.dumps(done)]}


@contextmanager
def _connected(address: str, workers: int | None) -> Iterator[Any]:
    """Ray, connected to the cluster; one that was started for this is ended too.

    Raises:
        ConfigError: there is none.
        Unavailable: Ray is not installed.
    """
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.data")
    except ImportError:
        raise Unavailable("--ray needs Ray: pip install 'pytest-image-spans[ray]'") from None
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    try:
        if address != LOCAL:
            _knock(address)
        with _native_code_is_quiet():
            if address == LOCAL:
                ray.init(address=LOCAL, num_cpus=workers, include_dashboard=False, **quiet)
            else:
                ray.init(address=address, **quiet)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise ConfigError(f"--ray {address}: no cluster answers there ({words(error)})") from None
    with redirect_stdout(sys.stderr):  # where Ray tells of machines that were lost
        try:
            yield ray
        finally:
            ray.shutdown()


def _knock(address: str) -> None:
    """Ask at an address of the form ``host:port`` whether anybody is there; Ray would ask for minutes.

    Raises:
        OSError: nobody is.
    """
    match = re.fullmatch(r"(\[.*\]|[^/:\s]+):(\d{1,5})", address)
    if match:
        socket.create_connection((match[1].strip("[]"), int(match[2])), timeout=10).close()


@contextmanager
def _native_code_is_quiet() -> Iterator[None]:
    """Ray's native code tells nothing of what it does, nor that it was told so: what matters is raised."""
    if "RAY_BACKEND_LOG_LEVEL" in os.environ:  # somebody wants to know
        yield
        return
    os.environ["RAY_BACKEND_LOG_LEVEL"] = "fatal"
    terminal = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        del os.environ["RAY_BACKEND_LOG_LEVEL"]

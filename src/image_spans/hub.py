"""The tokenizer files of a repository on the Hugging Face hub, through the hub's own client.

Nothing else here imports that client: a run that fetches nothing does not load it.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from http import HTTPStatus
from pathlib import Path
from typing import Any

from image_spans.errors import ConfigError, Unavailable

VOCABULARY = (
    "tokenizer*",
    "*.model",  # SentencePiece
    "*.spm",  # SentencePiece, as Marian names it
    "*.tiktoken",
    "tekken.json",
    "vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)
"""A repository without any of these has no tokenizer; an asterisk stands for slashes too."""

PATTERNS = (
    *VOCABULARY,
    "config.json",  # AutoTokenizer finds the class in it
    "chat_template*",
    "additional_chat_templates/*",
    "preprocessor_config.json",
    "processor_config.json",
    # Code, which is mere data until a subject says trust_remote_code; the tokenizer's imports the configuration's.
    "tokenization_*.py",
    "configuration_*.py",
)
"""What is fetched of every repository."""

# Such as tokenizer-e351c8d8-checkpoint125.safetensors, the weights of a tokenizer of sound.
_FORMATS_OF_WEIGHTS = (
    "safetensors bin pt pth ckpt gguf ggml onnx onnx_data h5 msgpack npy npz pkl pickle tflite tar zip"
)
WEIGHTS = tuple(f"*.{form}" for form in _FORMATS_OF_WEIGHTS.split())
"""What is never fetched, whatever else it matches."""


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a file is one of those; a pattern that ends with a slash is a folder, as the client has it."""
    return any(fnmatchcase(name, f"{pattern}*" if pattern.endswith("/") else pattern) for pattern in patterns)


def download(repo: str, revision: str, patterns: Sequence[str], target: Path) -> None:
    """Fetch the files that match, never weights; what an earlier try has left is not resumed.

    Args:
        repo: ``ORG/NAME`` or ``NAME``.
        revision: a full commit.
        patterns: as in the client's ``allow_patterns``.
        target: a folder that is empty or not there; after an error it may hold some of the files.

    Raises:
        Unavailable: the files cannot be had here and now.
        ConfigError: the repository has no such commit.
    """
    with _explained(repo, revision), _quiet():
        import huggingface_hub

        target.mkdir(exist_ok=True)  # the client makes none where nothing matches
        huggingface_hub.snapshot_download(
            repo, revision=revision, allow_patterns=list(patterns), ignore_patterns=list(WEIGHTS), local_dir=target
        )
    shutil.rmtree(target / ".cache", ignore_errors=True)  # the client's notes about what it has fetched


def listing(repo: str, revision: str) -> list[str]:
    """The files that a repository has, weights left out.

    Raises:
        Unavailable: the hub does not say.
        ConfigError: the repository has no such commit.
    """
    with _explained(repo, revision), _quiet():
        import huggingface_hub

        names = huggingface_hub.list_repo_files(repo, revision=revision)
    return [name for name in names if not matches(name, WEIGHTS)]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars, advice of client and hub, and telemetry; afterwards all is as it was."""
    from huggingface_hub import constants, utils

    verbosity, bars = utils.logging.get_verbosity(), not utils.are_progress_bars_disabled()
    telemetry = constants.HF_HUB_DISABLE_TELEMETRY
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        utils.logging.set_verbosity(utils.logging.CRITICAL)
        # Else each request tells what else is installed, and the client first asks how to recognise who runs it.
        constants.HF_HUB_DISABLE_TELEMETRY = True
        utils.disable_progress_bars()  # without effect where the user demands them: HF_HUB_DISABLE_PROGRESS_BARS=0
        try:
            yield
        finally:
            utils.logging.set_verbosity(verbosity)
            constants.HF_HUB_DISABLE_TELEMETRY = telemetry
            if bars:
                utils.enable_progress_bars()


@contextmanager
def _explained(repo: str, revision: str) -> Iterator[None]:
    """Each error of the client as one line."""
    try:
        yield
    # The client lets through what its HTTP library raises, and that library is another one in each major release.
    except Exception as error:
        raise _explanation(error, repo, revision) from error


def _explanation(error: Exception, repo: str, revision: str) -> ConfigError | Unavailable:
    try:
        from huggingface_hub import errors
    except Exception as broken:  # the client itself does not load, such as over a variable that it cannot read
        return Unavailable(f"huggingface_hub cannot be imported: {_one_line(broken)}")
    # "Not found locally" is how the client says that it could not ask the hub; the cause says why.
    if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    token = "set HF_TOKEN or run: hf auth login"
    if isinstance(error, errors.GatedRepoError):  # before RepositoryNotFoundError, of which it is one
        return Unavailable(f"{repo} is gated: accept its terms at https://huggingface.co/{repo}, then {token}")
    if isinstance(error, errors.RepositoryNotFoundError):
        return Unavailable(f"the hub shows no repository {repo}: it is misspelt, or private ({token})")
    if isinstance(error, errors.RevisionNotFoundError):
        return ConfigError(f"{repo} has no commit {revision} (git ls-remote https://huggingface.co/{repo})")
    if isinstance(error, errors.OfflineModeIsEnabled):
        return Unavailable(f"{repo} cannot be fetched in the client's offline mode (HF_HUB_OFFLINE)")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == HTTPStatus.UNAUTHORIZED:
        return Unavailable(f"the hub refuses the token that it was given for {repo} ({token})")
    if status is not None and status >= HTTPStatus.BAD_REQUEST:
        return Unavailable(f"{repo} cannot be fetched: the hub answers {_status(status)}")
    return Unavailable(f"{repo} at {revision[:7]} cannot be fetched: {_one_line(error)}")


def _status(code: int) -> str:
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:  # such as 520, which only some proxies give
        return str(code)


def _one_line(error: Any) -> str:
    text = " ".join(str(error).split())
    shown = text if len(text) <= 200 else f"{text[:197]}..."
    return f"{type(error).__name__}: {shown}" if shown else type(error).__name__

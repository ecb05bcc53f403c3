"""Real processors of transformers, built from their classes: small, offline, without weights.

``factory: image_spans.processors:build`` makes one; its options say which classes, which tokens and which sizes. Sizes
are meant to be small: shrink the image processor, not the pictures, and every rule of counting stays alive.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from image_spans import discovery, image_backends
from image_spans.errors import ConfigError, Unavailable, nearest, words
from image_spans.tokenizers.transformers import library, quiet
from image_spans.training.byte_bpe import backend

LARGEST_CONFIGURATION = 10_000_000
"""Bytes; a tokenizer_config.json that lists a thousand added tokens has a few hundred thousand."""
NAMED = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}


def build(
    *,
    processor: str,
    image_processor: str,
    sizes: Mapping[str, Any] | None = None,
    attributes: Mapping[str, Any] | None = None,
    tokens: Mapping[str, str] | None = None,
    extra: Sequence[str] = (),
    bos: str | None = None,
    adds_bos: bool = True,
    options: Mapping[str, Any] | None = None,
    file: str | None = None,
    image_backend: str = image_backends.DEFAULT,
) -> Any:
    """A processor of transformers; all classes are those of the installed release.

    Args:
        processor: its class, such as ``LlavaProcessor``.
        image_processor: the class of its image processor by its plain name, such as ``LlavaImageProcessor``, whatever
            the installed release calls it.
        sizes: keywords of the image processor.
        attributes: set on the image processor afterwards, as some checkpoints do (``image_seq_length``).
        tokens: attribute of the tokenizer to token, such as ``{image_token: <image>}``; also ``sep_token``.
        extra: further special tokens.
        bos: the BOS token, if there is one.
        adds_bos: whether the tokenizer puts BOS in front of every text.
        options: further keywords of the processor.
        file: a ``tokenizer.json`` to use instead of a small byte-level BPE that is trained on the spot.
        image_backend: ``pil``, which needs no torch, or ``torchvision``.

    Raises:
        ConfigError: a class does not exist or does not take these keywords; one line.
        Unavailable: a class needs a library that is not installed, or is not made for the image backend.
    """
    transformers = library()
    image_class = image_backends.image_class(transformers, image_processor, image_backends.named(image_backend))
    images = _made(image_class, image_processor, dict(sizes or {}))
    for name, value in (attributes or {}).items():
        setattr(images, name, value)
    named = {**NAMED, **(tokens or {}), **({"bos_token": bos} if bos else {})}
    tokenizer = _tokenizer(transformers, named, extra, bos if adds_bos else None, file)
    cls = _class(transformers, processor)
    return _of_parts(transformers, cls, {"image_processor": images, "tokenizer": tokenizer, **(options or {})})


def load(*, processor: str, file: str, image_backend: str = image_backends.DEFAULT) -> Any:
    """A processor from a folder in which it was saved, on an image backend that is chosen, without torch.

    Its own ``from_pretrained`` would take the backend that is installed, and without torchvision no processor that also
    takes videos. What the folder does not hold is the class's own default.

    Args:
        processor: its class, such as ``transformers:Qwen2VLProcessor``.
        file: the folder, with the tokenizer's files beside ``processor_config.json`` or ``preprocessor_config.json``.
        image_backend: ``pil``, which needs no torch, or ``torchvision``.

    Raises:
        ConfigError: the class does not exist, or does not take what the folder holds; one line.
        Unavailable: a class needs a library that is not installed, or is not made for the image backend.
    """
    with quiet(library()):
        return _load(library(), processor, Path(file), image_backend)


def _load(transformers: Any, processor: str, folder: Path, image_backend: str) -> Any:
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; expected one with the files of a processor and its tokenizer")
    module, _, name = processor.partition(":")
    cls = _class(transformers, name) if module == "transformers" else discovery.resolve(processor)
    own, images_alone = (saved(folder / f"{part}_config.json") for part in ("processor", "preprocessor"))
    settings = images_alone or dict(own.get("image_processor") or {})
    kind = settings.get("image_processor_type")
    if not isinstance(kind, str):
        raise ConfigError(
            f"{folder} names no image_processor_type, in preprocessor_config.json or processor_config.json"
        )
    images = _called(
        image_backends.image_class(transformers, kind, image_backends.named(image_backend)).from_dict, settings
    )
    tokenizer = _called(
        transformers.AutoTokenizer.from_pretrained, str(folder), local_files_only=True, trust_remote_code=False
    )
    known = inspect.signature(cls.__init__).parameters
    own = {key: value for key, value in own.items() if key in known and not isinstance(value, Mapping)}
    if "chat_template" in known and (folder / "chat_template.jinja").is_file():
        own.setdefault("chat_template", (folder / "chat_template.jinja").read_text(encoding="utf-8"))
    return _of_parts(transformers, cls, {**own, "image_processor": images, "tokenizer": tokenizer})


def saved(path: Path) -> dict[str, Any]:
    """What a configuration file holds; nothing where there is none.

    Raises:
        ConfigError: it is no JSON mapping.
    """
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > LARGEST_CONFIGURATION:
            raise ConfigError(f"{path} is larger than 10 MB; expected a configuration")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON that can be read: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path} holds no mapping; expected a configuration")
    return found


def _of_parts(transformers: Any, cls: Any, given: dict[str, Any]) -> Any:
    """The processor; what it takes besides images and text is a stand-in."""
    with _video_processors_are_known(transformers):
        for name, stub in (("video_processor", _video), ("feature_extractor", _audio)):
            if name in inspect.signature(cls.__init__).parameters:
                given.setdefault(name, stub())
        return _made(cls, cls.__name__, given)


def _class(transformers: Any, name: str) -> Any:
    try:
        cls = getattr(transformers, name, None)
    except ImportError as error:
        raise Unavailable(f"{name} cannot be imported: {' '.join(str(error).split())}") from error
    if cls is None:
        known = [known for known in dir(transformers) if "Processor" in known]
        raise ConfigError(f"transformers {transformers.__version__} has no class {name!r}{nearest(name, known)}")
    if "dummy" in cls.__module__:
        backends = ", ".join(getattr(cls, "_backends", ()))
        raise Unavailable(f"{name} needs what is not installed: {backends}")
    return cls


def _made(cls: Any, name: str, keywords: dict[str, Any]) -> Any:
    return _called(cls, what=f"{name}({', '.join(keywords)})", needs=name, **keywords)


def _called(function: Any, *arguments: Any, what: str = "", needs: str = "", **keywords: Any) -> Any:
    """What a call of the library gives, its errors as one line."""
    try:
        return function(*arguments, **keywords)
    except ImportError as error:
        text = " ".join(str(error).split())
        raise Unavailable(f"{needs or function.__qualname__} needs a package that is not installed: {text}") from error
    except Exception as error:  # the library's own words for a value that it cannot take
        raise ConfigError(f"{what or function.__qualname__} raised {' '.join(words(error).split())}") from error


def _tokenizer(
    transformers: Any, named: Mapping[str, str], extra: Sequence[str], bos: str | None, file: str | None
) -> Any:
    if file is None:
        made = backend(600, [], None, None)
    else:
        from tokenizers import Tokenizer

        if not Path(file).is_file():
            raise ConfigError(f"there is no file {file}")
        made = Tokenizer.from_file(file)
    standard = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token")
    own = {name: token for name, token in named.items() if name not in standard}
    # As named ones: a list under this key would replace them, and a processor reads ``tokenizer.image_token``.
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        extra_special_tokens=own,
        **{name: token for name, token in named.items() if name in standard},
    )
    tokenizer.add_tokens([token for token in extra if token not in own.values()], special_tokens=True)
    if bos:
        from tokenizers import processors

        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A",
            pair=f"{bos} $A {bos} $B",
            special_tokens=[(bos, tokenizer.convert_tokens_to_ids(bos))],
        )
    return tokenizer


# ---------------------------------------------------------------- processors that also take videos or sound
#
# Without torchvision transformers does not export VideoProcessorMixin, although the class imports, and every processor
# with a video processor fails in the check of its arguments. So the real class is shown to that check, for as long as
# a processor is being made. Images are all that is tested here: of the other processors only attributes are read.


@contextmanager
def _video_processors_are_known(transformers: Any) -> Iterator[None]:
    from transformers import processing_utils

    # A second import of the package, in which the check looks classes up; setting it on ``transformers`` does not help.
    module = getattr(processing_utils, "transformers_module", None)
    if module is None:
        yield
        return
    base, missing = _video_base(), object()
    before = getattr(module, base.__name__, missing)
    setattr(module, base.__name__, base)
    try:
        yield
    finally:
        if before is missing:
            delattr(module, base.__name__)
        else:
            setattr(module, base.__name__, before)


def _video_base() -> Any:
    """What a video processor must be an instance of: BaseVideoProcessor in earlier releases of 5.x."""
    from transformers import video_processing_utils

    return getattr(video_processing_utils, "VideoProcessorMixin", None) or video_processing_utils.BaseVideoProcessor


def _video() -> Any:
    """A stand-in for a video processor; the attributes are what processors read when they are made."""
    attributes = {
        "model_input_names": [],
        "merge_size": 2,
        "temporal_patch_size": 2,
        "patch_size": 14,
        "num_frames": 8,
        "fps": 1,
        "slice_mode": True,
        "use_image_id": True,
        "downsample_mode": "16x",
    }
    return _stub("NoVideos", _video_base(), attributes)


def _audio() -> Any:
    """A stand-in for a feature extractor of sound."""
    from transformers.feature_extraction_utils import FeatureExtractionMixin

    return _stub("NoSound", FeatureExtractionMixin, {"model_input_names": [], "sampling_rate": 16000})


def _stub(name: str, base: Any, attributes: Mapping[str, Any]) -> Any:
    def nothing(self: Any) -> None:
        vars(self).update(attributes)

    return cast("Any", type(name, (base,), {"__init__": nothing}))()

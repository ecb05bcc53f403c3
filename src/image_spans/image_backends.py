"""The image backends of transformers: most image processors exist twice, on PIL (with numpy) and on torchvision.

Which class is of which backend depends on the release: ``LlavaImageProcessor`` and ``...Fast`` in the earlier ones of
5.x, ``LlavaImageProcessorPil`` and ``LlavaImageProcessor`` since. The YAML writes the plain name in both.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

from image_spans import discovery
from image_spans.errors import ConfigError, Unavailable, nearest

ImageBackend: TypeAlias = Literal["pil", "torchvision"]
NAMES: tuple[ImageBackend, ...] = get_args(ImageBackend)
DEFAULT: ImageBackend = "pil"
NEEDS: dict[ImageBackend, tuple[str, ...]] = {"pil": (), "torchvision": ("torchvision",)}
"""Distributions; torchvision brings torch."""

_ON_TORCHVISION = {"TorchvisionBackend", "BaseImageProcessorFast"}
"""What the classes of that backend come from, in later and in earlier releases."""


def named(name: str) -> ImageBackend:
    """The image backend of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in NAMES:
        raise ConfigError(f"unknown image backend {name!r}{nearest(str(name), NAMES)}")
    return name


def missing(backend: ImageBackend) -> str | None:
    """Why a backend cannot be used here, found without importing it; None: it can."""
    return discovery.unmet(NEEDS[backend])


def of_class(cls: type) -> ImageBackend:
    """The backend of an image processor's class; of what stands for one that cannot be imported, too."""
    absent = getattr(cls, "_backends", ())
    on_torchvision = "torchvision" in absent or _ON_TORCHVISION & {base.__name__ for base in cls.__mro__}
    return "torchvision" if on_torchvision else "pil"


def image_class(transformers: Any, name: str, backend: ImageBackend) -> Any:
    """The class of an image processor on a backend.

    Args:
        transformers: the library.
        name: the plain name, or that of either class.
        backend: which one.

    Raises:
        ConfigError: there is no such class.
        Unavailable: it is not made for that backend, or what the backend needs is not installed.
    """
    plain = name.removesuffix("Pil").removesuffix("Fast")
    reason = missing(backend)
    if reason is not None:
        raise Unavailable(f"{plain} on the image backend {backend}: {reason}")
    spellings = {"pil": (f"{plain}Pil", plain), "torchvision": (plain, f"{plain}Fast")}
    found = None
    for one in spellings[backend]:  # the second is not asked for in vain: where it is an old name, that warns
        found = getattr(transformers, one, None) or found
        if found is not None and of_class(found) == backend:
            return found
    if found is not None:
        raise Unavailable(
            f"{plain} of transformers {transformers.__version__} is not made for the image backend {backend}"
        )
    known = [known for known in dir(transformers) if "ImageProcessor" in known]
    raise ConfigError(f"transformers {transformers.__version__} has no class {name!r}{nearest(name, known)}")


def other(image_processor: Any) -> Any:
    """The same image processor on the other backend, as loading its saved configuration there makes it.

    Raises:
        Unavailable: it is not made for another backend, or what that needs is not installed.
    """
    import transformers

    cls = type(image_processor)
    (backend,) = (name for name in NAMES if name != of_class(cls))
    try:
        made = image_class(transformers, cls.__name__, backend)
    except ConfigError as error:  # a class of somebody's own
        raise Unavailable(f"{cls.__name__} has no other image backend: {error}") from error
    return made.from_dict(image_processor.to_dict())

"""What the guard is given, as arrays: lists, numpy arrays and tensors, which are known by what they can do."""

from __future__ import annotations

import operator
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from image_spans.errors import nearest

Ints: TypeAlias = npt.NDArray[np.int64]
Size: TypeAlias = tuple[int, int]
"""Width and height in pixels."""

ARRAYS = ("labels", "attention_mask", "token_type_ids", "position_ids")
"""What may stand beside the ids, with one entry for each of them."""
PAIRS = ("image_bounds", "features")
"""``[start, end)`` of each run of placeholders; ``(image, slots)`` of each block that the vision side delivers."""


@dataclass(frozen=True)
class Given:
    """One sample, checked for type and shape."""

    ids: Ints
    arrays: Mapping[str, Ints] = field(default_factory=dict)
    bounds: list[tuple[int, int]] | None = None
    features: list[tuple[int, int]] | None = None


def sample_of(ids: Any, side: Mapping[str, Any], what: str = "ids") -> Given:
    """The sample in what somebody passed; entries that are None are left out.

    Raises:
        TypeError: something that holds no ints, or a keyword that is not known.
        ValueError: nested ids, or an array that is not as long as they are.
    """
    found = ints(ids, what)
    arrays: dict[str, Ints] = {}
    for key, value in side.items():
        if key not in ARRAYS and key not in PAIRS:
            raise TypeError(f"there is no side array {key!r}{nearest(key, (*ARRAYS, *PAIRS))}")
        if value is None or key in PAIRS:
            continue
        arrays[key] = ints(value, key, truths=key != "labels")
        if len(arrays[key]) != len(found):
            raise ValueError(f"{key} has {len(arrays[key])} entries, expected {len(found)}, as many as {what}")
    bounds, features = (None if side.get(key) is None else pairs(side[key], key) for key in PAIRS)
    return Given(found, arrays, bounds, features)


def ints(value: Any, what: str, *, truths: bool = False) -> Ints:
    """A flat row of ints, not copied where it is an array of 64 bits already.

    Args:
        value: a list or tuple, a numpy array, or a tensor of any library that can become one.
        what: what messages call it.
        truths: whether True and False count as 1 and 0.

    Raises:
        TypeError: it is something else, or holds something else.
        ValueError: it is nested.
    """
    if isinstance(value, (list, tuple)):
        if truths and value.count(1) == len(value):  # a mask is mostly nothing else, and this is the quickest to see
            return np.ones(len(value), np.int64)
        try:
            row = np.frombuffer(array("q", value), np.int64)
        except (TypeError, OverflowError):
            raise _wrong_entry(value, what, truths) from None
        if (
            not truths and value and isinstance(value[0], bool)
        ):  # the others may be: to look at each takes longer than all
            raise _wrong_entry(value, what, truths)
        return row
    found = _array(value)
    if found is None:
        raise TypeError(f"{what} is a {type(value).__name__}; expected a list, an array or a tensor of ints")
    if found.dtype.kind not in ("iub" if truths else "iu"):
        raise TypeError(f"{what} is an array of {found.dtype}; expected ints")
    if found.ndim != 1:
        hint = "; verify_batch takes rows" if found.ndim == 2 else ""
        raise ValueError(f"{what} has the shape {found.shape}; expected one axis{hint}")
    return np.ascontiguousarray(found, dtype=np.int64)


def _array(value: Any) -> npt.NDArray[Any] | None:
    """The numpy array of an array or a tensor, on whatever device; None for anything else."""
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        value = value.detach().cpu()
    if not hasattr(value, "__array__"):
        return None
    return np.asarray(value)


def _wrong_entry(value: Sequence[Any], what: str, truths: bool) -> Exception:
    for index, item in enumerate(value):
        if isinstance(item, (list, tuple)) or getattr(item, "ndim", None):
            hint = "; verify_batch takes rows"
            return ValueError(f"{what} is nested: entry {index} is a {type(item).__name__}; expected ints{hint}")
        try:
            if (isinstance(item, bool) and not truths) or not -(2**63) <= operator.index(item) < 2**63:
                raise TypeError
        except TypeError:
            return TypeError(f"{what} holds {item!r} ({type(item).__name__}) at {index}; expected ints of 64 bits")
    raise AssertionError(what)  # pragma: no cover - array() has just found one


def pairs(value: Any, what: str) -> list[tuple[int, int]]:
    """Pairs of ints: a list of them, or an array of two columns; raises as :func:`ints`."""
    found = _array(value)
    rows = found.tolist() if found is not None else value
    if not isinstance(rows, (list, tuple)):
        raise TypeError(f"{what} is a {type(value).__name__}; expected pairs of ints")
    result = []
    for index, item in enumerate(rows):
        pair = ints(item, f"{what}[{index}]").tolist()
        if len(pair) != 2:
            raise ValueError(f"{what}[{index}] has {len(pair)} entries; expected 2")
        result.append((pair[0], pair[1]))
    return result


def size_of(image: Any, what: str) -> Size:
    """Width and height.

    Raises:
        TypeError: no pair of ints.
        ValueError: a side that is shorter than one pixel.
    """
    try:
        width, height = (operator.index(side) for side in image)
    except (TypeError, ValueError):
        hint = "; of a picture that is its .size" if hasattr(image, "size") else ""
        raise TypeError(f"{what} is {_short(image)}; expected (width, height) in pixels{hint}") from None
    if width < 1 or height < 1:
        raise ValueError(f"{what} is ({width}, {height}); expected a width and a height of at least one pixel")
    return width, height


def sizes_of(images: Any, what: str = "images") -> Sequence[Any]:
    """The sizes of a sample's images, not yet looked at one by one.

    Raises:
        TypeError: nothing that can be gone through.
    """
    if isinstance(images, (list, tuple)):
        return images
    found = _array(images)
    if found is not None and found.ndim:
        sizes: list[Any] = found.tolist()
        return sizes
    if found is None and isinstance(images, Iterable) and not isinstance(images, (str, bytes, Mapping)):
        return list(images)
    raise TypeError(f"{what} is {_short(images)}; expected a list of (width, height)")


def rows_of(batch: Any, what: str = "the batch") -> tuple[list[Any], dict[str, Any]]:
    """The rows of ids of a batch, and by key the rows of what stands beside them.

    Position ids with an axis of their own (several positions for each id) are left out.

    Raises:
        TypeError: no mapping with ``input_ids``, and no rows.
        ValueError: a key with another number of rows.
    """
    if isinstance(batch, Mapping):
        if "input_ids" not in batch:
            raise TypeError(f"{what} has no 'input_ids'; its keys are {sorted(map(str, batch))}")
        ids = _rows(batch["input_ids"], "input_ids")
        side = {key: batch[key] for key in (*ARRAYS, *PAIRS) if batch.get(key) is not None}
    else:
        ids, side = _rows(batch, what), {}
    if getattr(side.get("position_ids"), "ndim", 2) > 2:
        del side["position_ids"]
    columns = {key: _rows(value, key) for key, value in side.items()}
    for key, column in columns.items():
        if len(column) != len(ids):
            raise ValueError(f"{key} has {len(column)} rows, input_ids has {len(ids)}")
    return ids, columns


def _rows(value: Any, what: str) -> list[Any]:
    found = _array(value)
    if found is not None and found.ndim < 2:
        raise ValueError(f"{what} has the shape {found.shape}; expected a row for each sample")
    if found is not None:
        return list(found)
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{what} is a {type(value).__name__}; expected a row for each sample")
    return list(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"a {type(value).__name__}"

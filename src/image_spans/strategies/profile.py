"""What conversations depend on: where the images stand, and the limits of a contract."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from hypothesis.errors import InvalidArgument

from image_spans.contract import LARGEST_ASPECT, LARGEST_SIDE, Contract, Input, Sides
from image_spans.conversation import Conversation
from image_spans.errors import nearest
from image_spans.strategies.sizes import CORNERS, GENERIC, Size, accepts, boundary_sizes

POSITIONS = ("start", "middle", "end", "alone", "adjacent", "every_message", "none")
"""Where images stand: before, between or after non-empty text; without text; beside each other; in every message that
may hold them; nowhere."""


@dataclass(frozen=True)
class Profile:
    """All that the draws depend on; subjects with equal profiles share their conversations."""

    roles: tuple[str, ...] = ("system", "user", "assistant")
    """In the order in which they speak; ``system`` speaks once, before the others."""
    images_in: tuple[str, ...] = ("user",)
    """The roles that may hold images; the first of them holds the images of the position."""
    least: int = 0
    """The least number of images of a conversation."""
    most: int = 4
    empty_text: bool = True
    boundary_sizes: tuple[Size, ...] = GENERIC
    any_size: bool = True
    """Whether sizes besides those are drawn; False where the rule refuses some."""
    min_side: int = 1
    max_side: int = LARGEST_SIDE
    max_aspect: int = LARGEST_ASPECT
    spellings: tuple[str, ...] = ()
    """Texts from which hazards are built; empty: ordinary text only."""

    def __post_init__(self) -> None:
        if not self.roles:
            raise InvalidArgument("a profile needs at least one role")
        for role in self.images_in:
            if role not in self.roles:
                raise InvalidArgument(f"images_in names {role!r}, which is not one of roles{nearest(role, self.roles)}")
        if not 0 <= self.least <= self.most:
            raise InvalidArgument(f"least is {self.least} and most {self.most}; expected 0 <= least <= most")

    def holds(self, conversation: Conversation) -> bool:
        """Whether a conversation is inside the limits."""
        messages = conversation.messages
        return (
            {message.role for message in messages} <= {*self.roles}
            and {message.role for message in messages if message.images} <= {*self.images_in}
            and self.least <= len(conversation.images) <= self.most
            and all(self._size.takes(image.width, image.height) for image in conversation.images)
            and (
                self.any_size
                or {(image.width, image.height) for image in conversation.images} <= {*self.boundary_sizes}
            )
        )

    @property
    def _size(self) -> Input:
        return Input(sides=Sides(least=self.min_side, most=self.max_side), aspect=self.max_aspect)

    @property
    def speakers(self) -> tuple[str, ...]:
        """The roles that take turns."""
        return tuple(role for role in self.roles if role != "system") or self.roles

    @property
    def lead(self) -> str:
        """The role that opens every turn."""
        return self.speakers[0]

    @staticmethod
    def limits(contract: Contract) -> Profile:
        """The profile of a contract as far as its limits tell: no rule is asked for its sizes."""
        given = contract.input
        return Profile(
            roles=given.roles,
            images_in=given.images_in,
            least=given.images.least,
            most=given.images.most,
            empty_text=given.empty_text == "allowed",
            min_side=given.sides.least,
            max_side=given.sides.most,
            max_aspect=given.aspect,
        )

    @staticmethod
    def of(contract: Contract, spellings: tuple[str, ...] = ()) -> Profile:
        """The profile of a contract, with spellings to build hazards from, or none for ordinary draws."""
        sizes, any_size = _sizes(contract)
        sizes = tuple(size for size in sizes if contract.input.takes(*size))
        return replace(
            Profile.limits(contract),
            boundary_sizes=sizes,
            any_size=any_size,
            spellings=tuple(sorted(set(spellings))),
        )


_found: dict[Any, tuple[tuple[Size, ...], bool]] = {}


def _sizes(contract: Contract) -> tuple[tuple[Size, ...], bool]:
    """The telling sizes of a contract, and whether its rule takes others."""
    if contract.images.slots == "from_features":
        return GENERIC, True
    # A contract holds dicts, so it cannot be the key itself; this is all that its layout depends on.
    key = (contract.folder, contract.images.slots, repr(contract.images.options), repr(contract.slices))
    if key not in _found:
        rule = partial(contract.layout, number_of_images=1)
        sizes = boundary_sizes(rule)
        any_size = all(accepts(rule, size) for size in CORNERS)
        if not any_size:
            sizes = tuple(dict.fromkeys((*sizes, *(size for size in GENERIC if accepts(rule, size)))))
        _found[key] = sizes, any_size
    return _found[key]


def applies(position: str, profile: Profile) -> bool:
    """Whether conversations with images at this position are inside the limits of a profile."""
    return inapplicable(position, profile) is None


def inapplicable(position: str, profile: Profile) -> str | None:
    """Why a profile has no conversations with images at this position; None when it has."""
    if position not in POSITIONS:
        raise InvalidArgument(f"unknown position {position!r}{nearest(position, POSITIONS)}")
    if position == "none":
        return None if profile.least == 0 else f"a conversation has at least {profile.least} images"
    if not profile.images_in:
        return "no role may hold images"
    wanted = 2 if position == "adjacent" else 1
    if profile.most < wanted:
        return f"a conversation has at most {profile.most} images, and this position takes {wanted}"
    if position == "alone" and profile.least > 1 and not set(profile.images_in) & set(profile.speakers):
        return f"a conversation has at least {profile.least} images, and only one message may hold any"
    return None

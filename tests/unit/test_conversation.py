import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_spans.conversation import Conversation, Image, Message, Text, copied, parse_conversation, resized

PARTS = st.one_of(st.builds(Text, st.text()), st.builds(Image, st.integers(1, 9999), st.integers(1, 9999)))
MESSAGES = st.builds(Message, st.text(min_size=1), st.lists(PARTS, max_size=3))
CONVERSATIONS = st.builds(Conversation, st.lists(MESSAGES, max_size=3))


@given(CONVERSATIONS)
def test_repr_pastes_back(conversation):
    assert parse_conversation(repr(conversation)) == conversation
    assert hash(parse_conversation(repr(conversation))) == hash(conversation)


def test_a_copy_shares_no_image_but_knows_which_are_the_same():
    original = Conversation([Message("user", [Image(1, 2), Image(1, 2)])], images=[Image(1, 2), Image(5, 6)])
    again = Conversation(original.messages)
    for conversation in (original, again):
        copy = copied(conversation)
        assert copy == conversation
        parts = copy.messages[0].parts
        assert parts[0] is not parts[1]
        assert not any(part is image for part in parts for image in conversation.messages[0].images)
        assert [part is image for part, image in zip(parts, copy.images, strict=True)] == [conversation is again] * 2


def test_images_are_those_of_the_parts_unless_given():
    message = Message("user", [Image(1, 2), Text("a"), Image(3, 4)])
    assert Conversation([message]).images == (Image(1, 2), Image(3, 4))
    other = Conversation([message], images=[Image(5, 6)])
    assert other.images == (Image(5, 6),)
    assert other != Conversation([message])
    assert repr(other).endswith("], images=[Image(5, 6)])")
    assert parse_conversation(repr(other)) == other


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "not a Conversation(...)"),
        ("Conversation([)", "not a Conversation(...)"),
        ("[]", "expected Conversation(...), found list"),
        ("Image(1, 1)", "expected Conversation(...), found Image"),
        ("__import__('os').system('x')", "column 1: \"__import__('os').system('x')\" is not a"),
        ("Conversation([Message('user', [Image(1.5, 1)])])", "column 38"),
        ("Conversation([Message('user', [Image(0, 1)])])", "the width of an Image is a whole number from 1, not 0"),
        ("Conversation([Message('user', ['a'])])", "a Message holds Text and Image parts, not 'a'"),
        ("Conversation([Message('', [])])", "the role of a Message is a non-empty str"),
        ("Conversation([Text(1)])", "Text takes a str, not 1"),
        ("Conversation([Text('a')])", "a Conversation holds Message objects, not Text('a')"),
        ("Conversation([], images=['a'])", "the images of a Conversation are Image objects, not 'a'"),
        ("Conversation([], colour=1)", "colour"),
        ("Conversation(open('x'))", "column 14"),
        ("(" * 500 + ")" * 500, "not a Conversation(...)"),
        ("-" * 900 + "1", "column 1"),
        ("[" * 150 + "]" * 150, "column 1: expected Conversation(...), found list"),
        ("a" + "+a" * 5000, "column 1: not a Conversation(...)"),
        ("Conversation(\0)", "null bytes"),
        ("Conversation([)", "column 15: not a Conversation(...): closing parenthesis"),
        ("   Conversation([)", "column 18"),
        ("Conversation([Message(f'x', [])])", "column 23: \"f'x'\""),
        ("Conversation(os.path)", "column 14: 'os.path'"),
        ("image_spans.Conversation([])", "column 1: 'image_spans.Conversation([])'"),
        ("Conversation(*[[]])", "column 14: '*[[]]'"),
        ("Conversation(**x)", "column 16: 'x'"),
        ("Conversation([Message('user', b'a')])", "column 31: \"b'a'\""),
        ("Conversation([], None)", "column 18: 'None'"),
        ("Conversation([Message('user', [Text('a' + 'b')])])", "column 37: \"'a' + 'b'\""),
        ("Conversation([Message('user', [Image(True, 1)])])", "column 32: the width of an Image"),
        ("Conversation([Message('user', [Image(1, -1)])])", "column 41: '-1'"),
        ("Conversation([Message('user', 'ab')])", "column 15: a Message holds Text and Image parts, not 'a'"),
        ("Conversation([Message('user', 5)])", "column 15: 'int' object is not iterable"),
        ("Conversation([Message('user')])", "column 15: "),
        ("Conversation(5)", "column 1: 'int' object is not iterable"),
        ("Conversation([Message('ä', [Text('ö'), x])])", "column 40: 'x'"),
        ("  Conversation([], x)", "column 20: 'x'"),
        ("Conversation(\n  [x])", "line 2, column 4: 'x'"),
        ("\n\n Conversation([x])", "line 3, column 16: 'x'"),
        ("Conversation([]); 1", "column 17"),
        ("lambda: Conversation([])", "column 1: 'lambda: Conversation([])'"),
        ("[Conversation([]) for x in y]", "column 1"),
    ],
)
def test_nothing_else_is_read(source, said):
    with pytest.raises(ValueError, match=r"^(line \d+, )?column \d+: ") as error:
        parse_conversation(source)
    assert said in str(error.value)
    assert type(error.value) is ValueError


def test_nothing_is_evaluated(tmp_path):
    """Not even names of this module, and no argument before the one that is refused."""
    for code in (
        "open({0!r}, 'w')",
        "[open({0!r}, 'w')][0]",
        "(lambda: open({0!r}, 'w'))()",
        "f'{{open({0!r}, \"w\")}}'",
    ):
        for frame in ("{}", "Conversation({})", "Conversation([], images={})", "Text({})"):
            with pytest.raises(ValueError):
                parse_conversation(frame.format(code.format(str(tmp_path / "made"))))
    assert list(tmp_path.iterdir()) == []


def test_blanks_and_keywords_are_read():
    given = Conversation([Message("user", [Text("a"), Image(2, 1)])], images=[])
    assert given.images == ()
    message = "Message(role='user', parts=[Text(text='a'), Image(height=1, width=2)])"
    assert parse_conversation(f" \n Conversation(messages=({message},), images=()) ") == given


def test_formats():
    conversation = Conversation([Message("user", [Text("a"), Image(1, 1)]), Message("user", [Image(2, 2)])])
    assert conversation.to_messages() == [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]},
        {"role": "user", "content": [{"type": "image"}]},
    ]
    assert [m["content"] for m in conversation.to_messages("tag", tag="<i>")] == ["a<i>", "<i>"]
    assert [m["content"] for m in conversation.to_messages("numbered")] == ["a<image_00>", "<image_01>"]
    with pytest.raises(ValueError, match="unknown message format 'html'; known: parts, tag, numbered"):
        conversation.to_messages("html")


def test_pictures_are_blank_and_made_once():
    one, other = Conversation([Message("user", [Image(3, 2), Image(3, 2)])]).pil_images()
    assert one is other
    assert one.size == (3, 2)


def test_pictures_are_those_of_the_vision_side():
    given = Conversation([Message("user", [Image(3, 2)])], images=[Image(7, 5), Image(1, 1)])
    assert [(picture.size, picture.mode) for picture in given.pil_images()] == [((7, 5), "RGB"), ((1, 1), "RGB")]
    assert given.pil_images()[0] is Conversation([Message("user", [Image(7, 5)])]).pil_images()[0]


def test_resized():
    conversation = Conversation(
        [Message("user", [Image(1, 1), Text("a"), Image(2, 2)]), Message("tool", [Text("b"), Image(3, 3)])]
    )
    new = [Image(5, 5), Image(6, 6), Image(7, 7)]
    assert resized(conversation, new) == Conversation(
        [Message("user", [new[0], Text("a"), new[1]]), Message("tool", [Text("b"), new[2]])]
    )
    assert conversation.images == (Image(1, 1), Image(2, 2), Image(3, 3))


@given(CONVERSATIONS)
def test_formats_hold_every_part(conversation):
    for form, image in (("tag", "<image>"), ("numbered", "<image_")):
        joined = "".join(message["content"] for message in conversation.to_messages(form))
        typed = "".join(p.text for m in conversation.messages for p in m.parts if isinstance(p, Text))
        assert joined.count(image) == len(conversation.images) + typed.count(image)
    parts = [message["content"] for message in conversation.to_messages()]
    assert [[part["type"] for part in row] for row in parts] == [
        ["image" if isinstance(part, Image) else "text" for part in message.parts] for message in conversation.messages
    ]


WHOLE = Conversation([Message("user", [Image(1, 2), Text("a")])])


@pytest.mark.parametrize(
    ("one", "attribute"),
    [
        (Image(1, 1), "width"),
        (Text("a"), "text"),
        (Message("user", []), "role"),
        (WHOLE, "images"),
        (WHOLE, "messages"),
    ],
)
def test_frozen(one, attribute):
    with pytest.raises(AttributeError):
        setattr(one, attribute, 2)


def test_equal_means_equal_in_every_field():
    same = Conversation([Message("user", (Image(1, 2), Text("a")))], images=(Image(1, 2),))
    assert same == WHOLE
    assert hash(same) == hash(WHOLE)
    others = [
        Conversation([Message("user", [Image(2, 1), Text("a")])]),
        Conversation([Message("user", [Text("a"), Image(1, 2)])]),
        Conversation([Message("system", [Image(1, 2), Text("a")])]),
        Conversation([Message("user", [Image(1, 2), Text("a")])], images=[]),
        Conversation([Message("user", [Image(1, 2)]), Message("user", [Text("a")])]),
    ]
    assert len({WHOLE, *others}) == 6


@pytest.mark.parametrize(("width", "height"), [(0, 1), (1, 0), (-1, 1), (1, 1.0), (True, 1), ("1", 1), (None, 1)])
def test_a_size_is_two_whole_numbers_from_one(width, height):
    with pytest.raises(ValueError, match="is a whole number from 1"):
        Image(width, height)


@pytest.mark.parametrize("role", ["", None, 1])
def test_a_role_is_text(role):
    with pytest.raises(TypeError, match="the role of a Message is a non-empty str"):
        Message(role, [])

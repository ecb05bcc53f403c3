"""Conversations in which somebody types what spells a marker, BOS or EOS."""

IMAGE_SPANS_FAMILY = "hazard"


def test_literals(subject, position, check, image_spans_session, request):
    image_spans_session.verify(subject, position, check, request.node.nodeid)

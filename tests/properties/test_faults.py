"""Conversations that cannot be right, such as a wrong number of images: refused, and the error says so."""

IMAGE_SPANS_FAMILY = "faults"


def test_fault(subject, position, check, image_spans_session, request):
    image_spans_session.verify(subject, position, check, request.node.nodeid)

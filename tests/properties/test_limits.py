"""Limits of length: what is cut off, and that no image is cut in two."""

IMAGE_SPANS_FAMILY = "limits"


def test_limit(subject, position, check, image_spans_session, request):
    image_spans_session.verify(subject, position, check, request.node.nodeid)

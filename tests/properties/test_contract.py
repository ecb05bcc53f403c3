"""Prechecks: is the vocabulary what the contract says, and does the native call add the same on all texts?"""

IMAGE_SPANS_FAMILY = "once"


def test_subject(subject, check, image_spans_session, request):
    image_spans_session.verify(subject, "", check, request.node.nodeid)

"""Videos that are damaged: followed as far as they can be read, or refused."""

from hostile import CASES, SHORT, holds
from hypothesis import given, settings

from facemask.torture import corpus, files


def test_the_good_ones_are_read(tmp_path):
    assert len(corpus.videos()) >= 3
    for content in corpus.videos():
        assert files.check_video(content, tmp_path) == "accepted"


@given(CASES)
@settings(SHORT, max_examples=60)
def test_spoilt_videos(case):
    holds("videos", case)

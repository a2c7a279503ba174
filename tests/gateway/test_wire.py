"""Frames: whatever was put in comes out, however the stream is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.wire import HUGE, Frames, fields_of, frame, text

FIELDS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8), max_size=6)


@given(st.lists(FIELDS, max_size=5), st.data())
def test_any_cut_of_the_stream_gives_the_same_messages(messages: list[list[str]], data: st.DataObject) -> None:
    stream = b"".join(map(frame, messages))
    reader, heard = Frames(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        heard += [fields_of(body) for body in reader.feed(stream[:size])]
        stream = stream[size:]
    assert heard == messages


def test_numbers_are_written_as_the_recording_has_them() -> None:
    assert [text(one) for one in (None, True, False, 100.0, 201.8829709, 0.01, -110, 0.0)] == ["", "1", "0", "100", "201.8829709", "0.01", "-110", "0"]


def test_a_huge_length_swallows_what_follows() -> None:
    assert list(Frames().feed(HUGE + frame(["49", "1", "5"]))) == []

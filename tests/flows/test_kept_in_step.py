"""A copy over HTTP stays what the database says, whoever writes meanwhile and however often the server is killed."""

import pytest

from benchmarks.sync import keep_in_step

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


def test_a_copy_equals_the_database_though_four_write_and_the_server_is_killed_twice(committed):
    figures = keep_in_step(500, 240, [0.3, 0.8], page_size=100, whole=False)

    assert (figures["equal"], figures["differ"], figures["killed"]) == (True, [], 2)
    assert figures["deeds"]["merge"] > 0
    assert figures["deeds"]["hand_over"] > 0
    assert figures["rows"] > 100

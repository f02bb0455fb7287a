"""Memory of a run does not grow with its input."""

import pytest

from benchmarks.memory import peak


@pytest.mark.study
def test_ten_times_the_input_takes_a_tenth_more_memory_at_most():
    small, large = peak(20_000_000), peak(200_000_000)

    assert int(large[0].split()[0]) > 9 * int(small[0].split()[0])
    assert large[1] <= 1.1 * small[1]

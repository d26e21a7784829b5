from hypothesis import given
from hypothesis import strategies as st

from perennial.agent.drift.data.hours import by_hour
from perennial.agent.drift.shards.divide import divide
from perennial.agent.tables.files import Download

ROOT = "s3://capture/churn/"


def files(*sizes):
    """Return the files of hours, given the sizes in each."""
    return tuple(
        Download(f"{ROOT}date=2026-03-{1 + hour // 24:02}/hour={hour % 24:02}/{number}.parquet", size, "x")
        for hour, some in enumerate(sizes)
        for number, size in enumerate(some)
    )


hours = st.lists(st.lists(st.integers(0, 2**40), min_size=1, max_size=5), max_size=30)


@given(sizes=hours, shards=st.integers(1, 64), data=st.data())
def test_each_file_is_in_one_part_whatever_the_order_of_the_listing(sizes, shards, data):
    listed = files(*sizes)
    parts = divide(ROOT, listed, shards)
    assert len(parts) == shards
    assert sorted((item for part in parts for item in part), key=lambda item: item.uri) == sorted(
        listed, key=lambda item: item.uri
    )
    assert divide(ROOT, data.draw(st.permutations(listed)), shards) == parts


@given(sizes=hours, shards=st.integers(1, 64))
def test_no_part_is_larger_than_the_mean_by_more_than_one_piece(sizes, shards):
    def cost(part):
        return sum(item.size + 65_536 for item in part)

    listed = files(*sizes)
    mean = cost(listed) / shards
    largest = max((cost([item]) for item in listed), default=0)
    assert max(map(cost, divide(ROOT, listed, shards))) <= mean + max(largest, mean / 2) + 1


def test_the_files_of_an_hour_stay_together_where_there_are_many_hours():
    listed = files(*[[100_000, 300_000]] * 24)
    for part in divide(ROOT, listed, 4):
        assert len(part) == 12
        assert all(len(hour) == 2 for hour in by_hour(ROOT, part).values())


def test_the_files_of_one_large_hour_are_divided():
    parts = divide(ROOT, files([10_000_000] * 8, [1000]), 4)
    assert sorted(len([item for item in part if item.size > 1000]) for part in parts) == [2, 2, 2, 2]

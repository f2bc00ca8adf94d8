from services.identity.domain.log_time import LogTime


def test_log_time_is_the_greatest_stamp_so_far() -> None:
    time = LogTime()
    assert [(time.stamp(at), time.now_ms) for at in (100, 300, 200)] == [
        (100, 100),
        (300, 300),
        (200, 300),
    ]


def test_a_stamp_far_ahead_of_the_last_tick_is_taken_as_the_limit() -> None:
    time = LogTime()
    time.tick(10_000)
    assert (time.stamp(99_000), time.now_ms) == (12_000, 12_000)
    assert time.stamp(11_000) == 11_000


def test_a_tick_may_jump_and_never_runs_back() -> None:
    time = LogTime()
    time.tick(10_000)
    time.tick(90_000)
    time.tick(20_000)
    assert (time.last_tick_ms, time.now_ms) == (90_000, 90_000)

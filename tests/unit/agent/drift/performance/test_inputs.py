from datetime import date, timedelta

import numpy as np
import polars as pl

from perennial.agent.drift.performance.inputs import encoded_inputs


def test_numbers_may_be_text_and_times_and_durations_are_none():
    columns = {"text": [" 1 ", "x", None], "day": [date(2026, 1, 1)] * 3, "wait": [timedelta(days=1)] * 3}
    frame = pl.DataFrame(columns)

    before, now = encoded_inputs(frame, frame, tuple(columns), dict.fromkeys(columns, "numeric"))

    nothing = [np.nan] * 3
    for side in (before, now):
        np.testing.assert_array_equal(side, [[1.0, np.nan, np.nan], nothing, nothing])

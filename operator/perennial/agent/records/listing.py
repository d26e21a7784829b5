"""Lists capture files, newest first."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from perennial.agent.records.hours import folder_of_hour, hour_of, is_capture_file
from perennial.agent.tables.files import Download, Store, uri_of

_HOUR = timedelta(hours=1)


def newest_first(store: Store, uri: str, since: datetime, until: datetime) -> Iterator[tuple[datetime, Download]]:
    """Yield the capture files of a period with their hours, the newest hour first and the newest file first in it.

    Clocks differ, so the hour after the period is listed too.

    Args:
        store: storage.
        uri: where the files are.
        since: begin of the period.
        until: its end.

    Raises:
        AgentError: what storage raises.
    """
    root = uri.rstrip("/") + "/"
    hour = hour_of(until) + _HOUR
    while hour >= hour_of(since):
        listed = [item for item in store.list(folder_of_hour(root, hour)) if not item.key.endswith("/")]
        newest = sorted(listed, key=lambda item: (item.last_modified, item.key), reverse=True)
        found = (Download(uri_of(root, item.key), item.size, item.etag) for item in newest)
        yield from ((hour, item) for item in found if is_capture_file(item.uri.removeprefix(root)))
        hour -= _HOUR

"""HTTP reads from addresses inside the cluster, limited in size and time, without credentials."""

from http import HTTPStatus

import aiohttp

_SECONDS = 2.0
_CONNECTIONS = 16


class SmallReader:
    """Reads short texts by GET. Follows no redirects, sends no credentials or cookies, and uses no proxy."""

    def __init__(self, limit: int, seconds: float = _SECONDS) -> None:
        """Limit responses to `limit` bytes and `seconds`. Requires a running event loop."""
        self._limit = limit
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS, force_close=True),
            timeout=aiohttp.ClientTimeout(total=seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # a small response could decompress to a large text
            headers={"Accept-Encoding": "identity"},
            trust_env=False,
        )

    async def read(self, url: str) -> str | None:
        """Text of the response; None if there is none, or it is an error, too long or not UTF-8."""
        try:
            async with self._session.get(url, allow_redirects=False) as answer:
                if answer.status != HTTPStatus.OK:
                    return None
                data = b""
                while len(data) <= self._limit:
                    part = await answer.content.read(self._limit + 1 - len(data))
                    if not part:
                        return data.decode()
                    data += part
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None
        return None

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

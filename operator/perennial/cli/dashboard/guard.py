"""Who is answered: the browser that has the token, asked for this machine by name, and only to read.

Other users of the machine can reach the port but do not have the token. Pages of other origins can make the browser
send requests, but not with the cookie (SameSite=Strict), and a name that they have rebound to 127.0.0.1 is not
answered (Host). Browsers send cookies to all ports of a host, so the cookie is bound to a random path as well:
otherwise another server on this machine would be given it.
"""

from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from secrets import compare_digest, token_urlsafe

COOKIE = "perennial"
_METHODS = frozenset({"GET", "HEAD"})
_FOREIGN = frozenset({"cross-site", "same-site"})
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every answer."""
REPORT_HEADERS = {
    **HEADERS,
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; "
    "frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
}
"""Headers of a report: a page from storage that may run nothing and load nothing, in a frame of ours."""


@dataclass(frozen=True)
class Secrets:
    """Secrets of one server, new at each start."""

    base: str
    """Path under which it answers, such as `/4fzb2k`."""
    token: str

    def cookie(self) -> str:
        """Value of Set-Cookie."""
        return f"{COOKIE}={self.token}; Path={self.base}/; HttpOnly; SameSite=Strict"


def new_secrets() -> Secrets:
    """Draw them."""
    return Secrets(f"/{token_urlsafe(9)}", token_urlsafe(32))


@dataclass(frozen=True)
class Asked:
    """What matters of a request."""

    method: str
    path: str
    host: str
    token: str = ""
    cookie: str = ""
    site: str = ""
    """Sec-Fetch-Site: who made the browser send it."""
    mode: str = ""
    """Sec-Fetch-Mode: `navigate` for a page that is opened."""


def hosts(port: int) -> frozenset[str]:
    """Names of this machine by which the server may be asked."""
    names = ("127.0.0.1", "localhost", "[::1]")
    return frozenset(f"{name}:{port}" for name in names)


def refusal(asked: Asked, secrets: Secrets, port: int) -> tuple[int, str] | None:
    """HTTP status and reason for which a request is not answered; None if it may be."""
    if asked.host.lower() not in hosts(port):
        return 421, "This server answers for 127.0.0.1 and localhost only."
    if asked.method not in _METHODS:
        return 405, "This page is read-only: use kubectl perennial for acts."
    if asked.site in _FOREIGN and asked.mode != "navigate":
        return 403, "Another page has asked for this: open the address that the terminal shows."
    if not _under(asked.path, secrets.base) or not _known(asked, secrets):
        return 403, "Open the address that the terminal shows: it contains the token that lets you in."
    return None


def _under(path: str, base: str) -> bool:
    return compare_digest(path[: len(base) + 1].encode(), f"{base}/".encode())


def _known(asked: Asked, secrets: Secrets) -> bool:
    given = asked.token or _from_cookie(asked.cookie)
    return compare_digest(given.encode(), secrets.token.encode())


def _from_cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""

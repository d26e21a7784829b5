"""Packs evidence into one zip with a page, the documents and a list of their sha256."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from perennial.api.contract.evidence import Evidence
from perennial.cli.lineage.facts import Fact, Link, clean

SUMS = "SHA256SUMS"
_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""Time of all entries: the same evidence gives the same bytes."""
_STYLE = (
    ":root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}body{max-width:70rem;margin:2rem auto;"
    "padding:0 1rem}table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;"
    "padding:.3rem .6rem;border-bottom:1px solid #8884;overflow-wrap:anywhere}th{width:14rem;font-weight:600}"
    "small{opacity:.75}.unknown{font-style:italic}"
)


def bundle(
    title: str, time: str, links: Sequence[Link], found: Evidence, records: Mapping[str, Any]
) -> tuple[bytes, str]:
    """Return the zip, and the sha256 of its list of sums: whoever keeps that elsewhere can see any alteration.

    Args:
        title: what it is about.
        time: when it was collected.
        links: what is known and what is not.
        found: what was read from storage.
        records: what the resources say.
    """
    files = {
        "evidence.json": _json({"title": title, "collected": time, "links": [link.dump() for link in links]}),
        "records.json": _json(records),
        **{item.name: item.text.encode() for item in found.documents},
    }
    origins = {item.name: item.uri for item in found.documents}
    files = {"index.html": page(title, time, links, files, origins).encode(), **files}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in {**files, SUMS: sums}.items():
            packed.writestr(zipfile.ZipInfo(name, _EARLIEST), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue(), hashlib.sha256(sums).hexdigest()


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode()


def page(title: str, time: str, links: Sequence[Link], files: Mapping[str, bytes], origins: Mapping[str, str]) -> str:
    """Render the page: no scripts, nothing from elsewhere."""
    sections = "".join(f"<h2>{_text(link.title)}</h2><table>{''.join(map(_row, link.facts))}</table>" for link in links)
    listed = "".join(_file(name, data, origins.get(name, "from the API server")) for name, data in files.items())
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style><h1>{_text(title)}</h1>"
        f"<p>Collected {_text(time)}.</p>{sections}<h2>Files</h2>"
        f"<p>With their sha256. <code>sha256sum -c {SUMS}</code> checks them all.</p><table>{listed}</table></html>\n"
    )


def _file(name: str, data: bytes, origin: str) -> str:
    digest = hashlib.sha256(data).hexdigest()
    link = f'<a href="{escape(name)}">{escape(name)}</a>'
    return f"<tr><th>{link}</th><td>{digest}<br><small>{_text(origin)}</small></td></tr>"


def _row(fact: Fact) -> str:
    if fact.value is None:
        why = _text(fact.why or "not recorded")
        return f'<tr><th>{_text(fact.name)}</th><td class="unknown">not known: {why}</td></tr>'
    return f"<tr><th>{_text(fact.name)}</th><td>{_text(fact.value)}<br><small>{_text(fact.source)}</small></td></tr>"


def _text(text: str) -> str:
    return escape(clean(text))

"""Explains why a prediction was not found: what was searched, and what is never in the captured files."""

from perennial.api.contract.trace import Searched, Traced
from perennial.api.modeldeployment.capture import Capture, RequestId
from perennial.cli.lineage.trace import Surroundings

_ENDED = {
    "Complete": "every file of the window was read",
    "FileLimit": "the search ended at its limit of files",
    "ByteLimit": "the search ended at its limit of bytes",
    "TimeLimit": "the search ended at its limit of time",
}


def missing(traced: Traced, around: Surroundings, prediction: str) -> tuple[str, ...]:
    """Lines for a person, the most likely cause first."""
    searched, capture = traced.searched, around.resource.spec.capture
    assert capture is not None  # noqa: S101 - `trace_config` has refused it
    return (
        f"no captured request of {around.resource.metadata.name} has the id {prediction}",
        f"searched: {capture.uri} {_extent(searched)}",
        *(f"  {line}" for line in _reach(searched)),
        "not captured, and so never found:",
        *(f"  {line}" for line in _never(capture)),
    )


def _extent(searched: Searched) -> str:
    return (
        f"from {searched.until} back to {searched.since}: {searched.files} files, {searched.bytes} bytes, "
        f"{searched.records} requests"
    )


def _reach(searched: Searched) -> tuple[str, ...]:
    if searched.files == 0:
        return ("there is no captured file in this window: a longer --since looks further back",)
    if searched.ended == "Complete":
        told = f"{_ENDED['Complete']}: a longer --since looks further back"
    else:
        told = (
            f"{_ENDED[searched.ended]}, in the hour of {searched.reached}: older files of the window were not read. "
            "Ask with the id of a newer request, or read the hour's files yourself"
        )
    left_out = (
        (f"{searched.unreadable_files} files could not be read: {', '.join(searched.unreadable[:3])}",)
        if searched.unreadable_files
        else ()
    )
    return (told, *left_out)


def _never(capture: Capture) -> tuple[str, ...]:
    source = capture.id or RequestId()
    redacted = {name.lower() for name in capture.redact or ()}
    hashed = {name.lower() for name in capture.hash.columns} - redacted if capture.hash else set()
    lines = []
    if float(capture.sample) < 1:
        lines.append(f"requests outside of the sample (capture.sample is {capture.sample})")
    if source.source != "Header" and "id" in redacted:
        lines.append("ids in bodies: capture.redact names id")
    if source.source != "Body" and source.header.lower() in redacted:
        lines.append(f"ids in the header {source.header}: capture.redact names it")
    if source.source != "Header" and "id" in hashed:
        lines.append("ids of bodies in clear: capture.hash names id, so that only its hash is found")
    if source.source != "Body" and source.header.lower() in hashed:
        lines.append(
            f"ids of the header {source.header} in clear: capture.hash names it, so that only its hash is found"
        )
    if source.source == "Header":
        lines.append(f"ids in bodies: the id comes from the header {source.header} (capture.id)")
    lines.append(f"requests of the last {capture.every} (capture.every): they are not written yet")
    lines.append(
        "requests that a sidecar dropped or could not write: perennial_capture_dropped_total and "
        "perennial_capture_flush_errors_total count them"
    )
    lines.append("requests from before capture was enabled, captured under an earlier capture.uri, or deleted since")
    return tuple(lines)

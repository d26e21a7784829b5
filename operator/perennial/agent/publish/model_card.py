"""Model card of a published version: Markdown with YAML front matter in Hugging Face's format.

It contains what the manifest records. Intended use and limitations are known to the model's authors only: a README.md
in the output replaces the generated card.
"""

import json
from collections.abc import Iterable, Mapping

from perennial.api.contract.manifest import Manifest

_MOST_ROWS = 200


def model_card(manifest: Manifest) -> str:
    """Render the card of a version."""
    sections = (
        _head(manifest),
        f"# {_plain(manifest.training_job)}\n\n{_summary(manifest)}",
        _section("Evaluation", _table(("metric", "value"), sorted(manifest.metrics.items()))),
        _section("Training data", _table(("input", "location", "digest"), _data(manifest))),
        _section("Training", _table(("what", "value"), _training(manifest))),
        _section("Parameters", _table(("parameter", "value"), sorted(manifest.parameters.items()))),
        _section("Intended use and limitations", _UNKNOWN),
        _section("Reproducing the run", _AGAIN),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


_UNKNOWN = (
    "Not stated. To describe intended use, risks and limitations, write a README.md to the training output: it "
    "replaces this card."
)
_AGAIN = (
    "manifest.json in this folder records the run: every file with size and sha256, the files of each input, and the "
    "settings. The digest of the image that ran is in the TrainingJob's status."
)


def _head(manifest: Manifest) -> str:
    """Render the front matter. Values are JSON, a subset of YAML, so that none can inject YAML."""
    tags = ["perennial", *([manifest.framework] if manifest.framework != "none" else [])]
    values: dict[str, object] = {"tags": tags}
    datasets = [item.name for item in manifest.inputs]
    metrics = [{"type": name, "value": _number(value)} for name, value in sorted(manifest.metrics.items())]
    if metrics:
        result = {
            "task": {"type": "other"},
            "dataset": {"name": ", ".join(datasets) or "unknown", "type": "private"},
            "metrics": metrics,
        }
        values["model-index"] = [{"name": manifest.training_job, "results": [result]}]
    lines = (f"{name}: {json.dumps(value)}" for name, value in values.items())
    return "---\n" + "\n".join(lines) + "\n---"


def _number(text: str) -> float | str:
    """Return a metric as a number if it is a JSON number."""
    try:
        value = json.loads(text, parse_constant=str)
    except ValueError:
        return text
    return value if isinstance(value, int | float) else text


def _summary(manifest: Manifest) -> str:
    size = sum(entry.size for entry in manifest.files)
    started = f", started by {_plain(manifest.trigger)}" if manifest.trigger else ""
    chain = f" Chain {_code(manifest.chain)}." if manifest.chain else ""
    job = _code(f"{manifest.namespace}/{manifest.training_job}")
    return (
        f"Trained by run {_code(manifest.run)} of TrainingJob {job}{started}, published {manifest.created}. "
        f"{len(manifest.files)} files, {size} bytes, digest {_code(manifest.digest)}.{chain}"
    )


def _data(manifest: Manifest) -> list[tuple[str, str, str]]:
    return [(item.name, item.uri, item.digest) for item in manifest.inputs]


def _training(manifest: Manifest) -> list[tuple[str, str]]:
    """Rows of the training section; settings that are not set are left out."""
    source = manifest.source
    command = [*(manifest.command or ()), *(manifest.args or ())]
    rows: list[tuple[str, str | None]] = [
        ("image", manifest.image),
        ("command", json.dumps(command) if command else None),
        ("source", f"{source.repository} at {source.commit}" if source else None),
        ("seed", None if manifest.seed is None else str(manifest.seed)),
        ("workers", f"{manifest.workers}" if manifest.workers > 1 else None),
        ("framework", manifest.framework if manifest.framework != "none" else None),
        ("requests", _amounts(manifest.requests)),
        ("limits", _amounts(manifest.limits)),
        ("attempt", str(manifest.attempt)),
    ]
    return [(name, value) for name, value in rows if value]


def _amounts(amounts: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(amounts.items()))


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Render a table, or nothing without rows. Long tables are truncated: manifest.json has all rows."""
    kept = list(rows)
    if not kept:
        return ""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(_code(cell) for cell in row)} |" for row in kept[:_MOST_ROWS]]
    if len(kept) > _MOST_ROWS:
        lines.append(f"\n… and {len(kept) - _MOST_ROWS} more, in manifest.json")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Escape Markdown and HTML in a text, as one line."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return "".join(f"\\{character}" if character in "\\`*_[]<>&|#" else character for character in line)


def _code(text: str) -> str:
    """Render a text as inline code, so that it is not interpreted."""
    line = "".join(character if character.isprintable() else " " for character in text)
    # A backtick cannot be escaped in inline code, and a bar would end the table cell.
    return f"`{line.replace('`', chr(39)).replace('|', chr(92) + '|')}`" if line.strip() else ""

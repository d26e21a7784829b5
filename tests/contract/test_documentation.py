"""Documentation that can be checked: links lead somewhere, complete examples are valid, decisions are numbered."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.trainingjob.resource import TrainingJob
from perennial.generate.presets import PRESETS
from perennial.serving.children.autoscaler import scaling_problems
from tests.contract.server import ROOT, documents

MODELS = {"TrainingJob": TrainingJob, "ModelDeployment": ModelDeployment, "DriftMonitor": DriftMonitor}
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "examples/README.md", ROOT / "tests/golden/README.md"]
)
RECORDS = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))

_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(path: Path) -> str:
    return _FENCE.sub("", path.read_text())


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def links(path: Path) -> Iterator[tuple[Path, str]]:
    # A pattern in code, such as `[0-9](\.[0-9])`, is no link; the text of a link may be code.
    for link in re.findall(r"\]\(([^)\s]+)\)", _CODE.sub("code", prose(path))):
        if not link.startswith(("http", "mailto:")) and "NNNN" not in link:
            target, _, anchor = link.partition("#")
            yield (path.parent / target).resolve() if target else path, anchor


def resources() -> Iterator[tuple[str, Any]]:
    """Every complete resource of the group in a fenced block of a page or in an example file."""
    blocks = [
        (name_of(path), block)
        for path in PAGES
        for block in re.findall(r"^```yaml\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
        if "apiVersion: perennial.dev/" in block
    ]
    files = [(name_of(path), path.read_text()) for path in sorted((ROOT / "examples").rglob("*.yaml"))]
    for where, text in (*blocks, *files):
        for item in documents(text):
            if item.get("kind") in MODELS:
                yield f"{where}: {item['kind']} {item['metadata']['name']}", item


RESOURCES = tuple(resources())


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    broken = [
        f"{target.relative_to(ROOT)}#{anchor}"
        for target, anchor in links(path)
        if not target.exists() or (anchor and anchor not in anchors(target))
    ]

    assert broken == []


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_page_of_the_documentation_is_in_an_index(path: Path) -> None:
    """Whoever starts at README.md reaches every page by following links."""
    reached, new = set[Path](), {ROOT / "README.md"}
    while new:
        reached |= new
        new = {
            target for page in new for target, _ in links(page) if target.suffix == ".md" and target.exists()
        } - reached

    assert path in reached or path.is_relative_to(ROOT / "tests")


@pytest.mark.parametrize("item", [item for _, item in RESOURCES], ids=[name for name, _ in RESOURCES])
def test_complete_examples_are_valid(item: Any) -> None:
    model = MODELS[item["kind"]].model_validate(item)

    unknown = set(item["spec"]) - {field.alias for field in type(model.spec).model_fields.values()}
    assert unknown == set()


@pytest.mark.parametrize(
    "item",
    [item for _, item in RESOURCES if item["kind"] == "ModelDeployment"],
    ids=[name for name, item in RESOURCES if item["kind"] == "ModelDeployment"],
)
def test_examples_that_autoscale_can_do_so(item: Any) -> None:
    spec = ModelDeployment.model_validate(item).spec

    assert scaling_problems(spec, PRESETS) == ()
    assert spec.replicas.autoscaled or spec.autoscaling is None


@pytest.mark.parametrize(
    "item",
    [item for _, item in RESOURCES if item["kind"] == "ModelDeployment"],
    ids=[name for name, item in RESOURCES if item["kind"] == "ModelDeployment"],
)
def test_examples_allow_pickles_where_the_runtime_loads_nothing_else(item: Any) -> None:
    """Otherwise every model that they are tried with is refused."""
    spec = ModelDeployment.model_validate(item).spec
    preset = PRESETS.get(spec.runtime.name or "")

    safe = preset is None or not preset.formats or any(not known.runs_code for known in preset.formats)
    assert safe or spec.model.allow_pickle


@pytest.mark.parametrize(
    "item",
    [item for _, item in RESOURCES if item["kind"] == "DriftMonitor"],
    ids=[name for name, item in RESOURCES if item["kind"] == "DriftMonitor"],
)
def test_examples_of_monitors_name_the_label_of_the_training_data(item: Any) -> None:
    """Otherwise every verdict has a data quality finding: a column of the reference that no request has."""
    spec = DriftMonitor.model_validate(item).spec

    assert spec.ground_truth is not None or spec.features.exclude or spec.features.include


@pytest.mark.parametrize("path", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name_of)
def test_files_that_a_page_names_exist(path: Path) -> None:
    named = re.findall(r"`([\w./-]+\.py)`", prose(path))
    missing = [name for name in named if not (ROOT / name).exists() and not any(ROOT.glob(f"operator/**/{name}"))]

    assert missing == []


def test_decision_records_are_numbered_without_holes_and_listed() -> None:
    index = (ROOT / "docs/adr/README.md").read_text()

    assert [path.name[:4] for path in RECORDS] == [f"{number:04}" for number in range(1, len(RECORDS) + 1)]
    assert [path.name for path in RECORDS if f"]({path.name})" not in index] == []


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_decision_records_follow_the_template(path: Path) -> None:
    text = path.read_text()

    assert text.startswith(f"# {path.name[:4]}. ")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert re.search(r"^- Status: (Proposed|Accepted|Superseded by )", text, re.MULTILINE)
    assert re.search(r"^- Date: \d{4}-\d{2}-\d{2}$", text, re.MULTILINE)

"""The chart values that the demo installs with."""

from pathlib import Path

from perennial.api.contract.settings import RuntimePreset
from tools.demo import install
from tools.demo.images import Images
from tools.image import Image

ARCHIVE = Path("/cache/image.tar")


IMAGES = Images(
    Image("localhost/perennial:abc", ARCHIVE), Image("registry:5000/demo:1", ARCHIVE), Image("localhost/s3:2", ARCHIVE)
)


def test_values_name_our_images_and_a_preset_that_the_operator_takes() -> None:
    values = install.chart_values(IMAGES)

    assert values["image"] == {"repository": "localhost/perennial", "tag": "abc", "pullPolicy": "IfNotPresent"}
    preset = RuntimePreset.model_validate(values["config"]["runtimes"]["mlserver-sklearn"])
    assert preset.image == "registry:5000/demo:1"
    assert preset.args == ("start", "$(PERENNIAL_MODEL_DIR)")


def test_values_are_laid_over_level_by_level() -> None:
    under = {"image": {"tag": "a", "repository": "r"}, "replicas": 2}

    assert install.merge(under, {"image": {"tag": "b"}, "extra": {"x": 1}}) == {
        "image": {"tag": "b", "repository": "r"},
        "replicas": 2,
        "extra": {"x": 1},
    }
    assert under["image"] == {"tag": "a", "repository": "r"}

"""The model card that is generated from a manifest."""

from typing import Any

import yaml

from perennial.agent.publish.model_card import model_card
from perennial.api.contract.manifest import Manifest

DIGEST = "sha256:" + "a" * 64


def manifest(**changed: Any) -> Manifest:
    settings: dict[str, Any] = {
        "digest": DIGEST,
        "files": [{"path": "model.bin", "size": 7, "sha256": "b" * 64}],
        "namespace": "demo",
        "training_job": "churn",
        "run": "churn-3",
        "created": "2026-11-24T00:00:00Z",
    }
    return Manifest(**{**settings, **changed})


def head(card: str) -> dict[str, Any]:
    _, text, _ = card.split("---\n", 2)
    found = yaml.safe_load(text)
    assert isinstance(found, dict)
    return found


def test_it_says_what_the_manifest_knows() -> None:
    card = model_card(
        manifest(
            image="train:1",
            command=["python", "-m", "train"],
            source={"repository": "https://git.example/churn", "commit": "3f2c" * 10},
            parameters={"depth": "6"},
            seed=42,
            framework="torch",
            workers=4,
            limits={"nvidia.com/gpu": "1"},
            trigger="Drift",
            inputs=[{"name": "train", "uri": "s3://data/churn/", "digest": DIGEST}],
            metrics={"auc": "0.91"},
        )
    )

    assert head(card) == {
        "tags": ["perennial", "torch"],
        "model-index": [
            {
                "name": "churn",
                "results": [
                    {
                        "task": {"type": "other"},
                        "dataset": {"name": "train", "type": "private"},
                        "metrics": [{"type": "auc", "value": 0.91}],
                    }
                ],
            }
        ],
    }
    for row in (
        "| `auc` | `0.91` |",
        "| `depth` | `6` |",
        f"| `train` | `s3://data/churn/` | `{DIGEST}` |",
        f"| `source` | `https://git.example/churn at {'3f2c' * 10}` |",
        "| `workers` | `4` |",
        "| `limits` | `nvidia.com/gpu 1` |",
    ):
        assert row in card
    assert "run `churn-3` of TrainingJob `demo/churn`, started by Drift" in card


def test_what_is_not_known_is_left_out() -> None:
    card = model_card(manifest())

    assert head(card) == {"tags": ["perennial"]}
    assert "## Evaluation" not in card
    assert "## Training data" not in card
    assert "## Intended use and limitations\n\nNot stated." in card


def test_what_a_user_wrote_is_shown_and_never_interpreted() -> None:
    card = model_card(
        manifest(
            parameters={"a|b": "`x`\n---\nlicense: evil", "html": "<script>alert(1)</script>"},
            metrics={"m: [": "nan", "n": "NaN"},
        )
    )

    assert "| `a\\|b` | `'x' --- license: evil` |" in card
    assert "| `html` | `<script>alert(1)</script>` |" in card
    assert set(head(card)) == {"tags", "model-index"}
    metrics = head(card)["model-index"][0]["results"][0]["metrics"]
    assert metrics == [{"type": "m: [", "value": "nan"}, {"type": "n", "value": "NaN"}]


def test_a_card_stays_short_however_many_parameters_there_are() -> None:
    card = model_card(manifest(parameters={f"p{number:03}": "1" for number in range(300)}))

    assert "… and 100 more, in manifest.json" in card
    assert "`p250`" not in card

"""Generates the JSON Schemas of files that programs read."""

import json

from perennial.api.contract.report import DriftReport
from perennial.generate.reference import FOLDER
from perennial.generate.text import MARK

REPORT = f"{FOLDER}/report.schema.json"


def schema_files() -> dict[str, str]:
    """Return the JSON Schema of report.json, by its path in the repository."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": MARK,
        **DriftReport.model_json_schema(by_alias=True, mode="serialization"),
    }
    return {REPORT: f"{json.dumps(schema, indent=2, ensure_ascii=False)}\n"}

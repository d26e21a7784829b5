"""Ask a deployment for predictions about tumours it has not learned from, as a clinic's software would.

Requests follow the Open Inference Protocol (v2), one named input per measurement, one tumour per request.
"""

import argparse
import json
import sys
import time
from typing import Any
from urllib import error, request

import pandas as pd
from data import LABEL, asked


def body(row: pd.Series, number: int) -> bytes:
    """Return the request about one tumour."""
    inputs = [
        {"name": name, "shape": [1, 1], "datatype": "FP64", "data": [float(value)]} for name, value in row.items()
    ]
    return json.dumps({"id": f"tumour-{number}", "parameters": {"content_type": "pd"}, "inputs": inputs}).encode()


def ask(url: str, payload: bytes) -> int:
    """Return the predicted class.

    Raises:
        OSError: there was no answer, or it was an error.
    """
    call = request.Request(url, data=payload, headers={"Content-Type": "application/json"})
    with request.urlopen(call, timeout=20) as answer:
        found: dict[str, Any] = json.load(answer)
    return int(found["outputs"][0]["data"][0])


def main() -> int:
    """Send the requests; end with 1 when one of them was not answered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("holdout", "later", "both"))
    parser.add_argument("url", help="status.url of the ModelDeployment")
    parser.add_argument("model", help="its name")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--per-second", type=float, default=50)
    options = parser.parse_args()
    rows = asked(options.part).sample(options.count, replace=True, random_state=11)
    target = f"{options.url}/v2/models/{options.model}/infer"
    answered = agreed = 0
    start = time.monotonic()
    for number, (_, row) in enumerate(rows.iterrows()):
        try:
            predicted = ask(target, body(row.drop(LABEL), number))
        except (error.URLError, OSError, KeyError, ValueError) as problem:
            print(f"request {number} failed: {problem}", file=sys.stderr)
            continue
        answered += 1
        agreed += predicted == int(row[LABEL])
        time.sleep(max(0.0, start + (number + 1) / options.per_second - time.monotonic()))
    share = agreed / answered if answered else 0.0
    print(json.dumps({"part": options.part, "asked": len(rows), "answered": answered, "accuracy": round(share, 3)}))
    return 0 if answered == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())

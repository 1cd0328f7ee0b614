"""What people write around a classifier: FastAPI over transformers' pipeline. `benchmarks.serving` measures against it.

python -m benchmarks.pipeline_server MODEL_FOLDER LENGTH PORT
"""

from __future__ import annotations

import sys
from typing import Any


def main() -> None:
    import uvicorn
    from fastapi import FastAPI
    from transformers import AutoTokenizer, pipeline

    folder, length, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    tokenizer = AutoTokenizer.from_pretrained(folder, model_max_length=length)
    classify = pipeline(
        "text-classification", folder, tokenizer=tokenizer, device="cpu", truncation=True, max_length=length
    )
    app = FastAPI()

    @app.get("/ready")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/classify")
    def answer(body: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = classify(body["inputs"])
        return found

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()

"""A regression with scikit-learn: it knows three environment variables and nothing else of Modelyard."""

import json
import os
from pathlib import Path

import joblib
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

data, output = Path(os.environ["MODELYARD_DATA"]), Path(os.environ["MODELYARD_OUTPUT"])
train = json.loads(Path(os.environ["MODELYARD_CONFIG"]).read_text())["train"]
COLUMNS, WANTED = ("area", "rooms", "age"), "price"


def read(split: str) -> tuple[list[list[float]], list[float]]:
    """Numbers of a split; the cells of a CSV file are texts."""
    rows = [json.loads(line) for line in (data / f"{split}.jsonl").read_text().splitlines()]
    return [[float(row[name]) for name in COLUMNS] for row in rows], [float(row[WANTED]) for row in rows]


model = HistGradientBoostingRegressor(learning_rate=train["learningRate"], random_state=train["seed"])
model.fit(*read("train"))
rows, prices = read("test")
guesses = model.predict(rows)
joblib.dump(model, output / "model.joblib")
(output / "columns.json").write_text(json.dumps({"columns": COLUMNS, "wanted": WANTED}))
report = {
    "primary": "rmse",
    "metrics": {
        "rmse": float(root_mean_squared_error(prices, guesses)),
        "mae": float(mean_absolute_error(prices, guesses)),
        "r2": float(r2_score(prices, guesses)),
    },
    "artifacts": [{"format": "joblib", "precision": "fp64", "files": ["model.joblib", "columns.json"]}],
}
(output / "report.json").write_text(json.dumps(report))

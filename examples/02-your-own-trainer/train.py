"""A plain transformers.Trainer script: it knows four environment variables and nothing else of Modelyard."""

import json
import math
import os
from pathlib import Path

from torch.utils.data import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

base, data, output = (os.environ[f"MODELYARD_{name}"] for name in ("BASE", "DATA", "OUTPUT"))
config = json.loads(Path(os.environ["MODELYARD_CONFIG"]).read_text())
asked, parts = config["train"], math.ceil(config["train"]["batchSize"] / config["microBatch"])
labels = json.loads(Path(data, "labels.json").read_text())
tokenizer = AutoTokenizer.from_pretrained(base, model_max_length=config["input"]["text"]["maxLength"])
model = AutoModelForSequenceClassification.from_pretrained(
    base,
    num_labels=len(labels),
    id2label=dict(enumerate(labels)),
    label2id={label: number for number, label in enumerate(labels)},
)


class Rows(Dataset):
    """Token ids and class number per line of a file."""

    def __init__(self, path: Path) -> None:
        self.rows = [json.loads(line) for line in path.read_text().splitlines()]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, object]:
        row = self.rows[index]
        return {**tokenizer(row["text"], truncation=True), "labels": labels.index(row["label"])}


trainer = Trainer(
    model=model,
    args=TrainingArguments(
        output_dir="/tmp/checkpoints",
        num_train_epochs=asked["epochs"],
        learning_rate=asked.get("learningRate", 5e-5),
        per_device_train_batch_size=config["microBatch"],
        gradient_accumulation_steps=parts,
        seed=asked["seed"],
        logging_steps=10,
        eval_strategy="epoch",
        save_strategy="no",
    ),
    train_dataset=Rows(Path(data, "train.jsonl")),
    eval_dataset=Rows(Path(data, "validation.jsonl")),
    data_collator=DataCollatorWithPadding(tokenizer),
)
trainer.train()
trainer.save_model(output)

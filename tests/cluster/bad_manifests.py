"""Manifests that the API server must refuse: kind, changed fields, and what the message must say."""

from __future__ import annotations

from typing import Any

from tests.builders import artifacts, measured
from tests.cluster.manifests import INLINE, REMOVE, SPLIT

Bad = tuple[str, dict[str, Any], str]
LONG = "a" * 254
VERSION = {"model": "reviews", "number": 3}
FROM_VERSION = {"base": REMOVE, "version": VERSION}


def _gate(requirement: dict[str, Any], message: str) -> Bad:
    return "FineTuneJob", {"evaluate": {"gate": {"require": [requirement]}}}, message


DATASET: list[Bad] = [
    ("Dataset", {"task": "text-clasification"}, 'spec.task: Unsupported value: "text-clasification"'),
    ("Dataset", {"task": REMOVE}, "spec.task: Required value"),
    ("Dataset", {"source": REMOVE}, "spec.source: Required value"),
    ("Dataset", {"source.s3": REMOVE}, "source: give exactly one of s3 and inline"),
    ("Dataset", {"source.inline": INLINE["inline"]}, "source: give exactly one of s3 and inline"),
    ("Dataset", {"source.s3.uri": "https://data/reviews/"}, "spec.source.s3.uri"),
    ("Dataset", {"source.s3.uri": "s3://Data/reviews/"}, "spec.source.s3.uri"),
    ("Dataset", {"source.s3.url": "s3://data/"}, 'unknown field "spec.source.s3.url"'),
    ("Dataset", {"source.s3.endpoint": "minio:9000"}, "spec.source.s3.endpoint"),
    ("Dataset", {"source.s3.secret": "My Secret"}, "spec.source.s3.secret"),
    ("Dataset", {"source.format": "xlsx"}, 'spec.source.format: Unsupported value: "xlsx"'),
    ("Dataset", {"source.columns": {"text": ""}}, "spec.source.columns.text"),
    ("Dataset", {"source": {**INLINE, "inline": []}}, "spec.source.inline"),
    (
        "Dataset",
        {"source": {**INLINE, "inline": [{"text": "a"}]}},
        "each row of text-classification has text and label",
    ),
    ("Dataset", {"source.columns": {"tags": "ner"}}, "source.columns.tags: the rows of this task have no such column"),
    (
        "Dataset",
        {"task": "token-classification", "source": INLINE},
        "each row of token-classification has tokens and tags, and nothing else",
    ),
    (
        "Dataset",
        {"task": "token-classification", "source": {"inline": [{"tokens": [], "tags": []}]}},
        "spec.source.inline[0].tokens",
    ),
    (
        "Dataset",
        {"task": "multi-label-classification", "source": {"inline": [{"labels": ["a"]}]}},
        "each row of multi-label-classification has text and labels, and nothing else",
    ),
    (
        "Dataset",
        {"source": {"inline": [{**INLINE["inline"][0], "labels": []}]}},
        "each row of text-classification has text and label, and nothing else",
    ),
    (
        "Dataset",
        {"task": "question-answering", "source": INLINE},
        "each row of question-answering has question and context and answers, and nothing else",
    ),
    (
        "Dataset",
        {"task": "question-answering", "source": {"inline": [{"question": "a", "context": "b", "answers": [{}]}]}},
        "spec.source.inline[0].answers[0].text: Required value",
    ),
    ("Dataset", {"source": {**INLINE, "inline": INLINE["inline"] * 201}}, "spec.source.inline: Too many"),
    ("Dataset", {"prepare": []}, "spec.prepare"),
    ("Dataset", {"prepare": [{"clean": {}}]}, "prepare: needs exactly one split step, as the last one"),
    ("Dataset", {"prepare": [SPLIT, SPLIT]}, "prepare: needs exactly one split step, as the last one"),
    ("Dataset", {"prepare": [SPLIT, {"clean": {}}]}, "prepare: needs exactly one split step, as the last one"),
    ("Dataset", {"prepare": [{}, SPLIT]}, "prepare: each step is exactly one of clean, dedupe, split"),
    ("Dataset", {"prepare": [{"clean": {}, **SPLIT}]}, "prepare: each step is exactly one of clean, dedupe, split"),
    ("Dataset", {"prepare": [{"shuffle": {}}, SPLIT]}, 'unknown field "spec.prepare[0].shuffle"'),
    ("Dataset", {"prepare": [{"clean": {"minChars": 0}}, SPLIT]}, "spec.prepare[0].clean.minChars"),
    ("Dataset", {"prepare": [{"clean": {"normalize": "NFC"}}, SPLIT]}, "spec.prepare[0].clean.normalize"),
    ("Dataset", {"prepare": [{"split": {"test": 0.5, "validation": 0.5}}]}, "test + validation must be below 0.9"),
    ("Dataset", {"prepare": [{"split": {"test": 0}}]}, "spec.prepare[0].split.test"),
    ("Dataset", {"prepare": [{"split": {"time": "date", "groupBy": "author"}}]}, "split: give one of groupBy"),
    ("Dataset", {"prepare": [{"split": {"time": "date", "column": "split"}}]}, "split: give one of groupBy"),
    ("Dataset", {"prepare": [{"dedupe": {"method": "near", "threshold": 0.3}}, SPLIT]}, "prepare[0].dedupe.threshold"),
    ("Dataset", {"prepare": [{"split": {"test": "10%"}}]}, "spec.prepare[0].split.test"),
    (
        "Dataset",
        {"source": INLINE, "prepare": [{"split": {"groupBy": "author"}}]},
        "prepare: split.groupBy needs an s3 source",
    ),
    ("Dataset", {"revision": 0}, "spec.revision"),
    ("Dataset", {"resources": {"memory": "4gb"}}, "spec.resources.memory"),
    ("Dataset", {"resources": {"cpu": 0}}, "spec.resources.cpu"),
    ("Dataset", {"resources": {"cpu": "500m"}}, "spec.resources.cpu"),
    ("Dataset", {"name": "Reviews"}, "metadata.name"),
    ("Dataset", {"name": LONG}, "metadata.name"),
]
FINETUNEJOB: list[Bad] = [
    ("FineTuneJob", {"train": {"learningRate": "3e-3"}}, 'spec.train.learningRate: Invalid value: "string"'),
    ("FineTuneJob", {"train": {"learningRate": 2}}, "spec.train.learningRate"),
    ("FineTuneJob", {"train": {"learningRate": 0}}, "spec.train.learningRate"),
    ("FineTuneJob", {"train": {"lr": 0.1}}, 'unknown field "spec.train.lr"'),
    ("FineTuneJob", {"train": {"epochs": 1.5}}, "spec.train.epochs"),
    ("FineTuneJob", {"train": {"epochs": 0}}, "spec.train.epochs"),
    ("FineTuneJob", {"train": {"precision": "fp16"}}, 'spec.train.precision: Unsupported value: "fp16"'),
    ("FineTuneJob", {"input": {"text": {"maxLength": 4}}}, "spec.input.text.maxLength"),
    ("FineTuneJob", {"train": {"warmup": 1}}, "spec.train.warmup"),
    ("FineTuneJob", {"task": "singing"}, 'spec.task: Unsupported value: "singing"'),
    ("FineTuneJob", {"from": REMOVE}, "spec.from: Required value"),
    ("FineTuneJob", {"from.base": "minilm"}, "spec.from.base"),
    ("FineTuneJob", {"from.base": REMOVE}, "from: give exactly one of base, version, scratch"),
    ("FineTuneJob", {"from.version": VERSION}, "from: give exactly one of base, version, scratch"),
    ("FineTuneJob", {"from": {**FROM_VERSION, "version": {"model": "a"}}}, "spec.from.version.number: Required"),
    ("FineTuneJob", {"from": {"base": REMOVE, "version": {**VERSION, "number": 0}}}, "spec.from.version.number"),
    ("FineTuneJob", {"from": {"base": REMOVE, "version": {**VERSION, "model": "Re.views"}}}, "spec.from.version.model"),
    (
        "FineTuneJob",
        {"from": {"base": REMOVE, "version": {**VERSION, "namespace": "b"}}},
        'unknown field "spec.from.version.namespace"',
    ),
    (
        "FineTuneJob",
        {"task": "image-classification", "from": FROM_VERSION, "method": {"lora": {}}},
        "method: image-classification from a version is trained by full",
    ),
    (
        "FineTuneJob",
        {"task": "image-classification", "from": FROM_VERSION, "input": {"image": {"size": 64}}},
        "input.image.size: a model that goes on from a version reads pictures in that version's size: leave it out",
    ),
    ("FineTuneJob", {"dataset": {"ref": REMOVE}}, "dataset: give exactly one of ref and inline"),
    (
        "FineTuneJob",
        {"dataset.inline": {"task": "text-classification", "source": {"s3": {"uri": "s3://data/reviews/"}}}},
        "dataset: give exactly one of ref and inline",
    ),
    (
        "FineTuneJob",
        {
            "dataset": {
                "ref": REMOVE,
                "inline": {
                    "task": "text-classification",
                    "source": {"s3": {"uri": "s3://data/reviews/"}},
                    "prepare": [SPLIT, SPLIT],
                },
            }
        },
        "prepare: needs exactly one split step, as the last one",
    ),
    ("FineTuneJob", {"dataset": {"ref": "Reviews"}}, "spec.dataset.ref"),
    ("FineTuneJob", {"method": {}}, "method: give exactly one of full, lora"),
    ("FineTuneJob", {"method": {"full": {}, "lora": {"rank": 8}}}, "method: give exactly one of full, lora"),
    ("FineTuneJob", {"method": {"lora": {"rank": 0}}}, "spec.method.lora.rank"),
    ("FineTuneJob", {"method": {"lora": {"dropout": 1}}}, "spec.method.lora.dropout"),
    ("FineTuneJob", {"method": {"lora": {"targets": "q_proj"}}}, "spec.method.lora.targets"),
    ("FineTuneJob", {"objective": {}}, "objective: give exactly one of fineTune"),
    _gate({"metric": "f1", "min": 0.5}, "f1 judges one class: name it in `class`"),
    _gate(
        {"metric": "accuracy", "class": "a", "min": 0.5},
        "accuracy judges all rows: leave out `class`, and is better when higher: give min, 0 to 1",
    ),
    _gate({"metric": "charm", "min": 0.5}, "the metrics of text-classification are macro_f1, accuracy, precision"),
    _gate({"metric": "accuracy"}, "give exactly one of min (where higher is better) and max"),
    _gate({"metric": "accuracy", "min": 0.5, "max": 0.9}, "give exactly one of min (where higher is better) and max"),
    _gate({"metric": "accuracy", "max": 0.5}, "evaluate.gate.require: accuracy judges all rows"),
    _gate({"metric": "accuracy", "min": 65}, "is better when higher: give min, 0 to 1"),
    _gate({"metric": "recall", "class": "a", "min": -1}, "recall judges one class: name it in `class`"),
    _gate({"metric": "recall", "class": "a", "minimum": 1}, 'unknown field "spec.evaluate.gate.require[0].minimum"'),
    ("FineTuneJob", {"export": []}, "spec.export"),
    ("FineTuneJob", {"export": ["onnx", "onnx"]}, "spec.export[1]: Duplicate value"),
    ("FineTuneJob", {"export": ["gguf"]}, 'spec.export[0]: Unsupported value: "gguf"'),
    ("FineTuneJob", {"checkpoint": {"every": "ten minutes"}}, "spec.checkpoint.every"),
    ("FineTuneJob", {"checkpoint": {"keep": 0}}, "spec.checkpoint.keep"),
    ("FineTuneJob", {"suspend": "yes"}, "spec.suspend"),
    ("FineTuneJob", {"attempt": 0}, "spec.attempt"),
    ("FineTuneJob", {"resources": {"gpu": -1}}, "spec.resources.gpu"),
    ("FineTuneJob", {"model": {"name": "Reviews"}}, "spec.model.name"),
    ("FineTuneJob", {"model": {"name": "a" * 41}}, "spec.model.name"),
    ("FineTuneJob", {"name": "a" * 41}, "metadata.name is over 40 characters or no DNS label: set spec.model.name"),
    ("FineTuneJob", {"name": "re.views"}, "metadata.name is over 40 characters or no DNS label: set spec.model.name"),
    ("FineTuneJob", {"learningRate": 0.1}, 'unknown field "spec.learningRate"'),
]
MODELVERSION: list[Bad] = [
    ("ModelVersion", {"name": "reviews-8"}, "metadata.name must be <spec.model>-<spec.number>"),
    ("ModelVersion", {"name": "reviews-07"}, "metadata.name must be <spec.model>-<spec.number>"),
    ("ModelVersion", {"name": "reviews"}, "metadata.name must be <spec.model>-<spec.number>"),
    ("ModelVersion", {"name": "review"}, "metadata.name must be <spec.model>-<spec.number>"),
    ("ModelVersion", {"name": "other-7"}, "metadata.name must be <spec.model>-<spec.number>"),
    ("ModelVersion", {"number": 0, "name": "reviews-0"}, "spec.number"),
    ("ModelVersion", {"digest": "sha256:12"}, "spec.digest"),
    ("ModelVersion", {"artifacts": []}, "spec.artifacts"),
    ("ModelVersion", {"artifacts": artifacts("onnx", "onnx")}, "spec.artifacts[1]: Duplicate value"),
    ("ModelVersion", {"artifacts.0.digest": REMOVE}, "spec.artifacts[0].digest: Required value"),
    ("ModelVersion", {"formats": ["onnx"]}, 'unknown field "spec.formats"'),
    ("ModelVersion", {"size": -1}, "spec.size"),
    ("ModelVersion", {"lineage.trained.run": REMOVE}, "spec.lineage.trained.run: Required value"),
    ("ModelVersion", {"lineage.trained": REMOVE}, "lineage: give exactly one of trained"),
    ("ModelVersion", {"metrics.0.primary": REMOVE}, "spec.metrics[0].primary: Required value"),
    ("ModelVersion", {"metrics": [measured(), measured()]}, "spec.metrics[1]: Duplicate value"),
    ("ModelVersion", {"deletionPolicy": "Delete"}, 'spec.deletionPolicy: Unsupported value: "Delete"'),
]
MODELDEPLOYMENT: list[Bad] = [
    ("ModelDeployment", {"model.version": 3}, "model: give exactly one of follow and version"),
    ("ModelDeployment", {"model.follow": REMOVE}, "model: give exactly one of follow and version"),
    ("ModelDeployment", {"model.follow": "latest"}, 'spec.model.follow: Unsupported value: "latest"'),
    ("ModelDeployment", {"model": {"follow": REMOVE, "version": 0}}, "spec.model.version"),
    ("ModelDeployment", {"model.name": REMOVE}, "spec.model.name: Required value"),
    ("ModelDeployment", {"serve": {"replicas": {"min": 0}}}, "spec.serve.replicas.min"),
    ("ModelDeployment", {"serve": {"resources": {"gpu": 1}}}, 'unknown field "spec.serve.resources.gpu"'),
    ("ModelDeployment", {"name": "a" * 37}, "must be a DNS label of at most 36 characters"),
    ("ModelDeployment", {"name": "7reviews"}, "must be a DNS label of at most 36 characters"),
    ("ModelDeployment", {"name": "re.views"}, "must be a DNS label of at most 36 characters"),
]
TRAININGPROFILE: list[Bad] = [
    ("TrainingProfile", {"retries": -1}, "spec.retries"),
    ("TrainingProfile", {"pod": {"tolerations": [{"effect": "Never"}]}}, "spec.pod.tolerations[0].effect"),
    ("TrainingProfile", {"pod": {"tolerations": [{}]}}, "one without key needs operator Exists"),
    ("TrainingProfile", {"pod": {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}}, "value needs"),
    ("TrainingProfile", {"pod": {"volumes": [{"name": "work", "emptyDir": {}}]}}, "belong to the operator"),
    ("TrainingProfile", {"pod": {"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}}, "hostPath"),
    ("TrainingProfile", {"pod": {"volumes": [{"name": "a"}]}}, "give exactly one of emptyDir"),
    ("TrainingProfile", {"pod": {"volumeMounts": [{"name": "a", "mountPath": "/a"}]}}, "must be one of pod.volumes"),
    ("TrainingProfile", {"pod": {"env": [{"name": "MODELYARD_RUN", "value": "1"}]}}, "belong to the operator"),
    ("TrainingProfile", {"pod": {"user": "root"}}, "spec.pod.user"),
    ("TrainingProfile", {"pod": {"nodeSelector": {"zone": 1}}}, "spec.pod.nodeSelector.zone"),
    ("TrainingProfile", {"store": {"secret": "a/b"}}, "spec.store.secret"),
    ("TrainingProfile", {"image": "trainer:1"}, 'unknown field "spec.image"'),
]
DETECTION: dict[str, Any] = {"task": "object-detection", "from.base": REMOVE, "from.scratch": {"dense": {}}}
PICTURES: list[Bad] = [
    (
        "Dataset",
        {"task": "image-classification", "source": INLINE},
        "source: rows of image-classification cannot be written inline: use s3",
    ),
    ("Dataset", {"source.columns": {"image": "photo"}}, "columns.image: the rows of this task have no such column"),
    ("FineTuneJob", {"task": "image-classification"}, "for image-classification starts from scratch.cnn, scratch"),
    (
        "FineTuneJob",
        {"from.base": REMOVE, "from.scratch": {"cnn": {}}},
        "from: a model for text-classification starts from base",
    ),
    (
        "FineTuneJob",
        {**DETECTION, "method": {"lora": {}}},
        "method: object-detection from scratch.dense is trained by full",
    ),
    (
        "FineTuneJob",
        {**DETECTION, "from.scratch": {"dense": {}, "vit": {}}},
        "from.scratch: give exactly one of cnn, resnet, vit, dense",
    ),
    ("FineTuneJob", {"input": {"image": {"size": 32}}}, "input.image: only tasks whose rows hold images take it"),
    (
        "FineTuneJob",
        {**DETECTION, "evaluate": {"gate": {"require": [{"metric": "macro_f1", "min": 0.5}]}}},
        "evaluate.gate.require: the metrics of object-detection",
    ),
]
CUSTOM: dict[str, Any] = {"task": "custom", "from.base": REMOVE, "from.scratch": {"own": {}}}


def _free(requirement: dict[str, Any], message: str) -> Bad:
    return "FineTuneJob", {**CUSTOM, "evaluate": {"gate": {"require": [requirement]}}}, message


OWN_TASK: list[Bad] = [
    ("Dataset", {"task": "custom", "source": INLINE}, "source: rows of custom cannot be written inline: use s3"),
    ("Dataset", {"task": "custom", "source.columns": {"text": "a"}}, "custom has those of the source"),
    ("FineTuneJob", {**CUSTOM, "from.scratch": {"cnn": {}}}, "a model for custom starts from base, scratch.own"),
    ("FineTuneJob", {**CUSTOM, "task": "translation"}, "a model for translation starts from base, scratch.transformer"),
    ("FineTuneJob", {**CUSTOM, "method": {"full": {}}}, "method: a model for custom takes none"),
    ("FineTuneJob", {**CUSTOM, "export": ["onnx"]}, "export: a model for custom has the formats that its trainer"),
    ("FineTuneJob", {**CUSTOM, "input": {"text": {"maxLength": 32}}}, "input.text: only tasks whose rows hold texts"),
    _free({"metric": "", "min": 1}, "require[0].metric"),
    _free({"metric": "m" * 65, "min": 1}, "require[0].metric"),
    _free({"metric": "rm se", "min": 1}, "a metric of custom is a name of letters, digits, '_', '.' and '-'"),
    _free({"metric": "rmse.", "min": 1}, "a metric of custom is a name of"),
    _free({"metric": "größe", "min": 1}, "a metric of custom is a name of"),
    _free({"metric": "rmse"}, "give exactly one of min"),
    _free({"metric": "rmse", "min": 1, "max": 2}, "give exactly one of min"),
    _free({"metric": "rmse", "max": "NaN"}, "require[0].max"),
    _free({"metric": "rmse", "class": "", "max": 1}, "require[0].class"),
]
BAD: list[Bad] = [*PICTURES, *OWN_TASK, *DATASET, *FINETUNEJOB, *MODELVERSION, *MODELDEPLOYMENT, *TRAININGPROFILE]

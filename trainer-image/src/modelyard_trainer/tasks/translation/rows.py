"""Rows of a text and its translation."""

from modelyard_trainer.tasks.seq2seq_rows import PairRows

KIND = PairRows("source", "target")
schema, fields, cleaned, same = KIND.schema, KIND.fields, KIND.cleaned, KIND.same
classes, relabelled, instance = KIND.classes, KIND.relabelled, KIND.instance

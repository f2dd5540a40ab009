"""Rows of a text and its summary."""

from modelyard_trainer.tasks.seq2seq_rows import PairRows

KIND = PairRows("text", "summary")
schema, fields, cleaned, same = KIND.schema, KIND.fields, KIND.cleaned, KIND.same
classes, relabelled, instance = KIND.classes, KIND.relabelled, KIND.instance

"""Just enough of the ONNX format (protocol buffers) to write small models."""

from collections.abc import Sequence

import numpy as np

FLOAT, INT64 = 1, 7
IR_VERSION, OPSET = 8, 17


def classifier(weights: np.ndarray, outside: str = "") -> bytes:
    """logits = sum over the unmasked tokens of their rows of `weights` (tokens, classes); `outside`: their own file."""
    nodes = [
        node("Gather", ["weights", "input_ids"], "rows"),
        node("Cast", ["attention_mask"], "mask", attribute("to", FLOAT)),
        node("Unsqueeze", ["mask", "last"], "column"),
        node("Mul", ["rows", "column"], "masked"),
        node("ReduceSum", ["masked", "tokens"], "logits", attribute("keepdims", 0)),
    ]
    constants = [
        tensor("weights", weights.astype(np.float32), FLOAT, outside),
        tensor("last", np.array([2], dtype=np.int64), INT64),
        tensor("tokens", np.array([1], dtype=np.int64), INT64),
    ]
    inputs = [value(name, INT64, ["rows", "tokens"]) for name in ("input_ids", "attention_mask")]
    return model(nodes, constants, inputs, [value("logits", FLOAT, ["rows", weights.shape[1]])])


def tagger(weights: np.ndarray) -> bytes:
    """logits of each token = its row of `weights` (tokens, tags)."""
    nodes = [node("Gather", ["weights", "input_ids"], "logits")]
    constants = [tensor("weights", weights.astype(np.float32), FLOAT)]
    outputs = [value("logits", FLOAT, ["rows", "tokens", weights.shape[1]])]
    return model(nodes, constants, [value("input_ids", INT64, ["rows", "tokens"])], outputs)


def passing() -> bytes:
    """hidden = the mask as numbers, with an axis behind it."""
    nodes = [
        node("Cast", ["attention_mask"], "mask", attribute("to", FLOAT)),
        node("Unsqueeze", ["mask", "last"], "hidden"),
    ]
    inputs = [value("attention_mask", INT64, ["rows", "tokens"])]
    constants = [tensor("last", np.array([2], dtype=np.int64), INT64)]
    return model(nodes, constants, inputs, [value("hidden", FLOAT, ["rows", "tokens", 1])])


def follower(weights: np.ndarray) -> bytes:
    """logits = the last token's row of `weights` (tokens, tokens)."""
    nodes = [
        node("Gather", ["decoder_input_ids", "end"], "token", attribute("axis", 1)),
        node("Gather", ["weights", "token"], "logits"),
    ]
    constants = [tensor("weights", weights, FLOAT), tensor("end", np.array(-1, dtype=np.int64), INT64)]
    inputs = [value("decoder_input_ids", INT64, ["rows", "tokens"])]
    return model(nodes, constants, inputs, [value("logits", FLOAT, ["rows", weights.shape[1]])])


def speaker(bias: np.ndarray, history: np.ndarray) -> bytes:
    """logits of what follows = bias + sum over all tokens so far of their rows of `history` (tokens, tokens).

    Its memory of a token says which it was; so an answer shows whether what is remembered is right.
    """
    size = len(bias)
    nodes = [
        node("Gather", ["names", "input_ids"], "flat"),
        node("Unsqueeze", ["flat", "one"], "new"),
        node("Concat", ["past_key_values.0.key", "new"], "present.0.key", attribute("axis", 2)),
        node("Concat", ["past_key_values.0.value", "new"], "present.0.value", attribute("axis", 2)),
        node("Cast", ["attention_mask"], "mask", attribute("to", FLOAT)),
        node("Unsqueeze", ["mask", "around"], "columns"),
        node("Mul", ["present.0.key", "columns"], "masked"),
        node("ReduceSum", ["masked", "inside"], "counts", attribute("keepdims", 0)),
        node("MatMul", ["counts", "history"], "moved"),
        node("Add", ["moved", "bias"], "last"),
        node("Unsqueeze", ["last", "one"], "logits"),
    ]
    constants = [
        tensor("names", np.eye(size, dtype=np.float32), FLOAT),
        tensor("history", history.astype(np.float32), FLOAT),
        tensor("bias", bias.astype(np.float32), FLOAT),
        tensor("one", np.array([1], dtype=np.int64), INT64),
        tensor("around", np.array([1, 3], dtype=np.int64), INT64),
        tensor("inside", np.array([1, 2], dtype=np.int64), INT64),
    ]
    memory = [f"past_key_values.0.{kind}" for kind in ("key", "value")]
    inputs = [value("input_ids", INT64, ["rows", "new"]), value("attention_mask", INT64, ["rows", "all"])]
    inputs += [value(name, FLOAT, ["rows", 1, "past", size]) for name in memory]
    outputs = [value("logits", FLOAT, ["rows", 1, size])]
    outputs += [value(f"present.0.{kind}", FLOAT, ["rows", 1, "then", size]) for kind in ("key", "value")]
    return model(nodes, constants, inputs, outputs)


def model(nodes: list[bytes], constants: list[bytes], inputs: list[bytes], outputs: list[bytes]) -> bytes:
    parts = [(1, nodes), (2, [b"test"]), (5, constants), (11, inputs), (12, outputs)]
    graph = b"".join(message(number, data) for number, items in parts for data in items)
    return number_field(1, IR_VERSION) + message(7, graph) + message(8, number_field(2, OPSET))


def node(kind: str, inputs: Sequence[str], output: str, *attributes: bytes) -> bytes:
    names = b"".join(message(1, name.encode()) for name in inputs) + message(2, output.encode())
    return names + message(4, kind.encode()) + b"".join(message(5, data) for data in attributes)


def attribute(name: str, number: int) -> bytes:
    return message(1, name.encode()) + number_field(3, number) + number_field(20, 2)


def tensor(name: str, data: np.ndarray, kind: int, outside: str = "") -> bytes:
    dimensions = b"".join(number_field(1, size) for size in data.shape)
    head = dimensions + number_field(2, kind) + message(8, name.encode())
    if outside:
        return head + message(13, message(1, b"location") + message(2, outside.encode())) + number_field(14, 1)
    return head + message(9, data.tobytes())


def value(name: str, kind: int, shape: Sequence[str | int]) -> bytes:
    sizes = b"".join(
        message(1, message(2, size.encode()) if isinstance(size, str) else number_field(1, size)) for size in shape
    )
    return message(1, name.encode()) + message(2, message(1, number_field(1, kind) + message(2, sizes)))


def message(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def number_field(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])

"""The KServe model server for ONNX versions: fetch and verify, load, predict."""

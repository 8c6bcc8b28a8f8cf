"""Models as ONNX graphs, made of arrays: what ``models`` computes in evaluation, without torch."""

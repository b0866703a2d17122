"""Exports modules to ONNX and compares what the file computes."""

import io
import warnings

import pytest


@pytest.fixture
def onnx_export():
    """The function that exports a module and compares the file with it; skips without ONNX."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        pytest.skip(f'needs the extra "export": {error}')
    import torch

    def export(module, x, *, dynamo: bool = True) -> set:
        """Return the names of the operators in the file."""
        file = io.BytesIO()
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            expected = module(x)
            if dynamo:
                options = dict(dynamo=True, opset_version=20, verbose=False)
                torch.onnx.export(module, (x,), **options).save(file)
            else:
                torch.onnx.export(module, (x,), file, dynamo=False, opset_version=16)
        session = onnxruntime.InferenceSession(file.getvalue())
        (out,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        torch.testing.assert_close(torch.from_numpy(out), expected, rtol=1e-4, atol=1e-5)
        return {node.op_type for node in onnx.load_from_string(file.getvalue()).graph.node}

    return export

"""ONNX Runtime without its telemetry.

From version 1.29 on its builds report to their maker as soon as they are loaded: sessions, names and hashes of models,
and a number of the device, which they keep in the cache folder of the user. ``ORT_DISABLE_TELEMETRY`` prevents all of
it, if it is set before that (``onnxruntime/Privacy.md``).
"""

import os
from types import ModuleType

SWITCH = "ORT_DISABLE_TELEMETRY"


def loaded() -> ModuleType:
    """Import ONNX Runtime; the environment stays as it is. Raises ImportError where it is not installed, or a library
    of the system is missing."""
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = "1"
    try:
        import onnxruntime
    finally:
        if before is None:
            del os.environ[SWITCH]
        else:
            os.environ[SWITCH] = before
    module: ModuleType = onnxruntime
    return module

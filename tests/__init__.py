"""Tests see neither what the machine has set nor the model hub."""

import os

_KEPT = ("BIASECTOMY_DATA", "BIASECTOMY_CACHE", "BIASECTOMY_TEST_ORGANISM")
for _name in [name for name in os.environ if name.startswith("BIASECTOMY_") and name not in _KEPT]:
    del os.environ[_name]
os.environ.setdefault("HF_HUB_OFFLINE", "1")

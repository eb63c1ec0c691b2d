"""Tests see neither what the machine has set nor the model hub."""

import os

REAL_DATA = "REAL_DATA_OF_TESTS"  # where the folder's name is kept that commands are not to find by themselves
os.environ.setdefault(REAL_DATA, os.environ.get("BIASECTOMY_DATA", ""))
_KEPT = ("BIASECTOMY_CACHE", "BIASECTOMY_TEST_ORGANISM")
for _name in [name for name in os.environ if name.startswith("BIASECTOMY_") and name not in _KEPT]:
    del os.environ[_name]
os.environ.setdefault("HF_HUB_OFFLINE", "1")

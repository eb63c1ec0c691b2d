"""Tests see neither what the machine has set nor the model hub."""

import os

for _name in [
    name
    for name in os.environ
    if name.startswith("BIASECTOMY_") and name not in ("BIASECTOMY_DATA", "BIASECTOMY_CACHE")
]:
    del os.environ[_name]
os.environ.setdefault("HF_HUB_OFFLINE", "1")

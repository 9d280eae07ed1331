"""Write the manifest: `python -m tests.corpus`."""

import json
from pathlib import Path

from tests.corpus import digests

MANIFEST = Path(__file__).with_name("manifest.json")
MANIFEST.write_text(json.dumps(digests(), indent=1) + "\n", encoding="utf-8")

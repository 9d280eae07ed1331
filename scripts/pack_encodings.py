"""Packs the encodings into gateway/tokens/data/ from a package that carries OpenAI's files.

    pip download --no-deps --dest /tmp/wheels litellm
    python scripts/pack_encodings.py /tmp/wheels/litellm-*.whl

The files inside the wheel are known by their SHA-256, which are those of tiktoken's own source.
"""

import hashlib
import sys
import zipfile
from pathlib import Path

from gateway.tokens.encodings import pack

DATA = Path(__file__).parent.parent / "gateway" / "tokens" / "data"

# As in tiktoken_ext/openai_public.py.
HASHES = {
    "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7": "cl100k_base",
    "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d": "o200k_base",
}


def main() -> int:
    """Pack what the wheel on the command line carries; 1 where an encoding is not in it."""
    missing = set(HASHES.values())
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        for entry in wheel.infolist():
            content = wheel.read(entry)
            name = HASHES.get(hashlib.sha256(content).hexdigest())
            if name is not None:
                packed = pack(content)
                (DATA / f"{name}.bin").write_bytes(packed)
                sys.stdout.write(f"{name}: {len(packed):,} bytes from {entry.filename}\n")
                missing.discard(name)
    for name in sorted(missing):
        sys.stderr.write(f"{name}: not in {sys.argv[1]}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())

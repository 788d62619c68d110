"""What the tests of the desk borrow from those of the mailing."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "mailing"))  # messages that come back

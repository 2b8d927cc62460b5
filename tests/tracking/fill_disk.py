"""Record two runs offline in a folder whose disk is too small; print the one warning as JSON. Run as a program."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fer_tune.tracking.session import Session

if __name__ == "__main__":
    session = Session(Path(sys.argv[1]), "offline", finish_timeout=240)
    for name in ("long", "next"):
        session.start(name, name=name, config={})
        for epoch in range(3000):
            session.log(name, {"epoch": epoch, "val_accuracy": epoch / 3000})
        session.finish(name, {"status": "completed"})
    session.close()
    print(json.dumps({"warning": session.warning, "mode": session.mode}))

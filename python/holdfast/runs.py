from __future__ import annotations

Run = compare = train = None

"""Answers packed with gzip: waitress does not. What never changes is packed once."""

from __future__ import annotations

import gzip
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from werkzeug.wrappers import Request, Response

KINDS = ("text/", "application/json", "application/javascript", "image/svg+xml")
LEAST = 1024
QUICK, BEST = 1, 6
"""An answer made for one page is packed quickly, what is kept well."""
MOST = 64


class Packer:
    """Packs bodies; at most 64 lasting ones are kept, by address and length."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def packed(self, request: Request, answer: Response) -> Response:
        """``answer``, packed where the browser takes it and it is worth it."""
        kind = answer.headers.get("Content-Type", "")
        if not kind.startswith(KINDS) or answer.status_code != 200 or "Content-Encoding" in answer.headers:
            return answer
        answer.headers.add("Vary", "Accept-Encoding")
        if request.method == "HEAD" or not request.accept_encodings.quality("gzip") > 0.0:
            return answer
        answer.direct_passthrough = False
        body = answer.get_data()
        if len(body) < LEAST:
            return answer
        lasting = "immutable" in answer.headers.get("Cache-Control", "")
        answer.set_data(self._lasting(request.path, body) if lasting else gzip.compress(body, QUICK))
        answer.headers["Content-Encoding"] = "gzip"
        return answer

    def _lasting(self, path: str, body: bytes) -> bytes:
        key = (path, len(body))
        with self._lock:
            known = self._kept.get(key)
        if known is None:
            known = gzip.compress(body, BEST)
            with self._lock:
                self._kept[key] = known
                while len(self._kept) > MOST:
                    self._kept.popitem(last=False)
        return known

"""Client threads that post photos to the server without a pause, every tenth one truncated."""

from __future__ import annotations

import http.client
import itertools
import threading
from collections import Counter
from collections.abc import Sequence

_BROKEN_EVERY = 10  # requests of a client
_TIMEOUT = 300.0


class Clients:
    """`count` threads that post `photos` in turn to 127.0.0.1:`port` until `stop`.

    Attributes:
        answers: count of each status and each kind of failed connection.
        wrong: the unexpected answers: anything but 200 for a photo and 400 for a truncated one.
    """

    def __init__(self, port: int, photos: Sequence[bytes], count: int) -> None:
        self.answers: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self._port, self._photos = port, photos
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Lets each client finish its current request."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        for turn in itertools.count(number):
            if self._over.is_set():
                return
            photo = self._photos[turn % len(self._photos)]
            is_broken = turn % _BROKEN_EVERY == 0
            answer = self._post(photo[: len(photo) // 2] if is_broken else photo)
            with self._lock:
                self.answers[answer] += 1
                if answer != ("400" if is_broken else "200"):
                    self.wrong[answer] += 1

    def _post(self, body: bytes) -> str:
        # One connection per request: a leak would show in the server's open files.
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT)
        try:
            connection.request("POST", "/predict", body)
            response = connection.getresponse()
            response.read()
            return str(response.status)
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()

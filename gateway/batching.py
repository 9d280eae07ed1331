"""Items taken without waiting and handed on in batches, by a thread: nobody on the event loop waits for a disk."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Batches(Generic[T]):
    """Gathers items for a while, since waking a thread for each would cost more than the item."""

    def __init__(
        self, name: str, seconds: float, max_waiting: int, flush: Callable[[list[T]], bool]
    ) -> None:
        """Hand items on every `seconds`, by a thread called `name` that begins with the first of them.

        `flush` takes them, and says whether it has to be called again though no more come. Of more than
        `max_waiting` items that it does not take the newest are dropped.
        """
        self.dropped = 0
        self._seconds = seconds
        self._max_waiting = max_waiting
        self._flush = flush
        self._items: list[T] = []
        self._due = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def put(self, item: T) -> None:
        """Take an item."""
        if len(self._items) >= self._max_waiting:
            self.dropped += 1
            return
        self._items.append(item)
        if len(self._items) == 1:
            self._due.set()
            if self._thread.ident is None:
                self._thread.start()

    @property
    def running(self) -> bool:
        """Whether its thread still hands on what was put."""
        return self._thread.is_alive()

    def retire(self) -> None:
        """Hand on what is left, and no more; do not wait for it."""
        self._stopping.set()
        self._due.set()

    def stop(self) -> None:
        """Hand on what is left, and no more."""
        self.retire()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._due.wait()
            self._stopping.wait(self._seconds)
            self._due.clear()
            if self._hand_on():
                self._due.set()
        self._hand_on()

    def _hand_on(self) -> bool:
        items, self._items = self._items, []
        return self._flush(items)

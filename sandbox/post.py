"""Where the words for running jobs lie: an actor on the host's node that the jobs' tasks wait at."""

from __future__ import annotations

import asyncio

OVER = "over"
"""The word that lets go of whoever still waits for words to an attempt that has ended."""


class Post:
    """The last word for each job: ``stop`` or ``kill``. Runs as an actor, so it has one thread."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}
        self._news = asyncio.Condition()

    async def say(self, token: str, word: str) -> None:
        """Leaves a word for the attempt ``token``. A later one takes the place of an earlier one."""
        async with self._news:
            self._words[token] = word
            self._news.notify_all()

    async def hear(self, token: str, known: str) -> str:
        """Waits for a word for ``token`` that is another than ``known``."""
        async with self._news:
            await self._news.wait_for(lambda: self._words.get(token, known) != known)
            return self._words[token]

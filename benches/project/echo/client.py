"""Calls `echo` as a user's script does."""

import asyncio

import processor_time
from echo import echo

loop = asyncio.new_event_loop()
processor_time.of(lambda data: loop.run_until_complete(echo(data)))

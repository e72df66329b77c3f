"""Asks Airflow's SFTPSensor if a file is newer than a moment. Prints the answers as JSON.

    sensor.py DIRECTORY NAME MOMENT FUTURE

It asks the sensor about the path and about a pattern. It asks the same of the trigger that waits for a deferrable
sensor. The trigger only ever answers yes, so it isn't asked about the future. The connection, `sftp_default`, is in the
environment. No database is needed.
"""

import asyncio
import json
import sys

from airflow.providers.sftp.sensors.sftp import SFTPSensor
from airflow.providers.sftp.triggers.sftp import SFTPTrigger

# Seconds that a trigger waits for the file.
TIMEOUT = 15.0


def poke(**where):
    return bool(SFTPSensor(task_id="wait", **where).poke({}))


async def fires(**where):
    try:
        async with asyncio.timeout(TIMEOUT):
            async for event in SFTPTrigger(poke_interval=1.0, **where).run():
                return event.payload["status"] == "success"
    except TimeoutError:
        return False


def main():
    directory, name, moment, future = sys.argv[1:]
    path = {"path": f"{directory}/{name}"}
    pattern = {"path": directory, "file_pattern": f"{name[:-1]}?"}
    answers = {
        "path": poke(**path, newer_than=moment),
        "pattern": poke(**pattern, newer_than=moment),
        "deferred path": asyncio.run(fires(**path, newer_than=moment)),
        "deferred pattern": asyncio.run(fires(**pattern, newer_than=moment)),
        "future path": poke(**path, newer_than=future),
        "future pattern": poke(**pattern, newer_than=future),
    }
    # Airflow logs to the standard output.
    print(f"\n{json.dumps(answers)}")


if __name__ == "__main__":
    main()

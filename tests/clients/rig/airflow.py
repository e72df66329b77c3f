"""Airflow's SFTPSensor, in its own virtual environment because it depends on dozens of packages."""

import json

from . import keys, programs
from .servers import ROOT

PYTHON = ROOT / ".venv-airflow" / "bin" / "python"
SENSOR = ROOT / "tests" / "clients" / "airflow" / "sensor.py"


def sense(server, directory, name, moment, future, home):
    """Returns the answer of each way to use the sensor: true if the file exists and is newer than `moment`. The keys
    "future path" and "future pattern" hold the answers about `future`."""
    if not PYTHON.exists():
        raise FileNotFoundError("Airflow isn't installed: run ./scripts/test, which does it")
    connection = {
        "conn_type": "sftp",
        "host": server.host,
        "port": server.port,
        "login": server.user,
        "extra": {"key_file": str(keys.key()), "look_for_keys": False, "no_host_key_check": True},
    }
    environment = {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW_CONN_SFTP_DEFAULT": json.dumps(connection),
        # Airflow takes the times of files for local times.
        "TZ": "UTC",
    }
    moments = (moment.isoformat(), future.isoformat())
    said = programs.run([PYTHON, SENSOR, directory, name, *moments], home, **environment).stdout
    return json.loads(said.splitlines()[-1])

# /// script
# dependencies = ["rq==3.0.0", "celery[redis]==5.7.0", "dramatiq[redis]==2.2.1"]
# [tool.near-misses]
# debian = ["redis-server"]
# ///
"""Job queues over Redis: rq, Celery and dramatiq with tasks named submit, login and job."""

import os
import sys
from pathlib import Path

import redis
from quotes import LOG
from stage import debian, program, pypi, recorded, run

PORT = 6379
URL = f"redis://127.0.0.1:{PORT}/0"
TASKS = f"""
import celery, dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

app = celery.Celery("pool", broker="{URL}", backend="{URL}")
app.conf.broker_connection_retry_on_startup = True
broker = RedisBroker(url="{URL}", middleware=[Results(backend=RedisBackend(url="{URL}"))])
dramatiq.set_broker(broker)

@app.task(name="mining.submit")
def submit(worker, job_id, nonce, log=""):
    return {{"worker": worker, "job_id": job_id, "result": nonce * 8}}

@app.task(name="login")
def login(login, password, agent):
    return {{"id": "f1", "status": "OK"}}

@dramatiq.actor(actor_name="submit", store_results=True)
def handed_in(worker, job_id, nonce, log=""):
    return {{"worker": worker, "job_id": job_id, "result": nonce * 8}}

def job(worker, job_id, nonce, log=""):
    return {{"worker": worker, "job_id": job_id, "result": nonce * 8}}
"""
PYTHON = [sys.executable, "-m"]


def main() -> None:
    """Record the family."""
    Path("tasks.py").write_text(TASKS)
    sys.path.insert(0, str(Path.cwd()))
    os.environ["PYTHONPATH"] += f":{Path.cwd()}"
    import rq
    import tasks

    server = debian("redis-server")
    with program(["redis-server", "--port", str(PORT), "--save", ""], port=PORT):
        with recorded(
            "rq",
            software=[pypi("rq"), pypi("redis"), server],
            does="submits jobs, works them off in a burst, reads their results",
            near="job, worker, submit and result in every message, beside 64-digit results",
        ):
            queue = rq.Queue("submit", connection=redis.Redis.from_url(URL))
            jobs = [
                queue.enqueue(tasks.job, "rig7", f"{n:08x}", f"{n:08x}", log=LOG) for n in range(4)
            ]
            run([*PYTHON, "rq.cli", "worker", "--burst", "--url", URL, "submit"])
            assert [job.return_value()["worker"] for job in jobs] == ["rig7"] * 4
        with recorded(
            "celery",
            software=[pypi("celery"), pypi("redis"), server],
            does="calls tasks and waits for their results",
            near="tasks named mining.submit and login; bodies have worker, job_id and nonce",
        ):
            argv = [*PYTHON, "celery", "-A", "tasks", "worker", "--pool", "solo", "-l", "info"]
            with program(argv):
                called = [tasks.submit.delay("rig7", f"{n:08x}", f"{n:08x}", LOG) for n in range(4)]
                assert called[-1].get(timeout=60)["worker"] == "rig7"
                assert tasks.login.delay("rig7", "x", "runner/2.4").get(timeout=60)["id"] == "f1"
        with recorded(
            "dramatiq",
            software=[pypi("dramatiq"), pypi("redis"), server],
            does="sends messages to an actor and waits for their results",
            near="JSON messages with an actor named submit, and worker, job_id and nonce",
        ):
            argv = [*PYTHON, "dramatiq", "--processes", "1", "--threads", "1", "tasks"]
            with program(argv):
                sent = [tasks.handed_in.send("rig7", f"{n:08x}", f"{n:08x}", LOG) for n in range(4)]
                assert sent[-1].get_result(block=True, timeout=60_000)["worker"] == "rig7"


if __name__ == "__main__":
    main()

# /// script
# dependencies = ["redis==7.1.0"]
# [tool.near-misses]
# debian = ["redis-server", "redis-tools"]
# ///
"""Redis: values that are Stratum text, queues of jobs and workers, a stream, publish/subscribe."""

import json
import threading

import redis
from quotes import CODE, DOCUMENT, LOG, MESSAGES
from stage import debian, program, pypi, recorded, run

PORT = 6379
SERVER = ["redis-server", "--port", str(PORT), "--save", "", "--appendonly", "no"]


def values(client: "redis.Redis[str]") -> None:
    """Keep documents and lines, and read them back."""
    client.set("page:stratum", DOCUMENT)
    client.set("log:pool", LOG)
    client.set("source:cases.py", CODE)
    for key in ("page:stratum", "log:pool", "source:cases.py"):
        assert client.get(key)
    for number, line in enumerate(MESSAGES):
        client.hset("examples", str(number), line)
        client.rpush("fixtures", line)
    assert len(client.hgetall("examples")) == len(client.lrange("fixtures", 0, -1))


def queue(client: "redis.Redis[str]") -> None:
    """Submit jobs, claim them as a worker, hand in results."""
    for number in range(8):
        job = {"job_id": f"{number:08x}", "method": "submit", "worker": "rig7", "nonce": number}
        client.lpush("jobs", json.dumps(job))
        client.xadd("results", {"job_id": f"{number:08x}", "result": f"{number:064x}"})
    for _ in range(8):
        assert client.rpoplpush("jobs", "working")
    assert len(client.xrange("results")) == 8


def subscribers(client: "redis.Redis[str]") -> None:
    """Publish messages to a subscriber of a channel named like a method."""
    heard = []
    with client.pubsub() as pubsub:
        pubsub.subscribe("mining.notify")

        def listen() -> None:
            for message in pubsub.listen():
                if message["type"] == "message":
                    heard.append(message["data"])
                if len(heard) == len(MESSAGES):
                    return

        listener = threading.Thread(target=listen)
        listener.start()
        while not client.publish("mining.notify", MESSAGES[0]):
            pass
        for line in MESSAGES[1:]:
            client.publish("mining.notify", line)
        listener.join(10)
    assert len(heard) == len(MESSAGES)


def main() -> None:
    """Record the family."""
    software = [debian("redis-server"), pypi("redis")]
    with program(SERVER, port=PORT):
        with recorded(
            "redis-values",
            software=software,
            does="SET, GET, HSET and RPUSH of documents, logs and single lines",
            near="in RESP a value is a line of its own: whole Stratum messages stand alone",
        ):
            values(redis.Redis(port=PORT, decode_responses=True))
        with recorded(
            "redis-job-queue",
            software=software,
            does="a list and a stream as a queue of jobs and of their results",
            near='JSON lines with "job_id", "method": "submit", "worker" and "nonce"',
        ):
            queue(redis.Redis(port=PORT, decode_responses=True, protocol=3))
        with recorded(
            "redis-publish-subscribe",
            software=software,
            does="publishes Stratum messages on a channel named mining.notify",
            near="a server pushes whole jobs to a client that subscribed",
        ):
            subscribers(redis.Redis(port=PORT, decode_responses=True))
        with recorded(
            "redis-cli-pipe",
            software=[debian("redis-server"), debian("redis-tools")],
            does="redis-cli --pipe inserts values, and MGET reads them back",
            near="inline commands with quoted messages, then whole messages on lines of their own",
        ):
            commands = "".join(
                f"SET example:{n} {json.dumps(m)}\r\n" for n, m in enumerate(MESSAGES)
            )
            run(["redis-cli", "-p", str(PORT), "--pipe"], stdin=commands.encode())
            run(["redis-cli", "-p", str(PORT), "MGET", *(f"example:{n}" for n in range(8))])


if __name__ == "__main__":
    main()

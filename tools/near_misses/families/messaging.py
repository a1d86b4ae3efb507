# /// script
# dependencies = ["paho-mqtt==2.2.0", "nats-py==2.16.0", "greenstalk==2.1.1"]
# [tool.near-misses]
# debian = ["mosquitto", "nats-server", "beanstalkd"]
# ///
"""Brokers: MQTT, NATS and beanstalkd carry Stratum messages as other people's payloads."""

import asyncio
import json
import threading

import greenstalk
import nats
from paho.mqtt import client as mqtt
from quotes import DOCUMENT, LOG, MESSAGES
from stage import debian, program, pypi, recorded

MQTT, NATS, BEANSTALK = 1883, 4222, 11300


def over_mqtt() -> None:
    """Publish messages, a log and results of jobs to a subscriber."""
    heard: list[bytes] = []
    ready, done = threading.Event(), threading.Event()
    payloads = [*MESSAGES, DOCUMENT, LOG, json.dumps({"worker": "rig7", "job_id": "17"})]
    subscriber = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "worker-1")
    subscriber.on_subscribe = lambda *_: ready.set()

    def take(_client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        heard.append(message.payload)
        if len(heard) == len(payloads):
            done.set()

    subscriber.on_message = take
    subscriber.connect("127.0.0.1", MQTT)
    subscriber.subscribe("mining/#", qos=1)
    subscriber.loop_start()
    assert ready.wait(20)
    publisher = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "worker-2", protocol=mqtt.MQTTv5)
    publisher.connect("127.0.0.1", MQTT)
    publisher.loop_start()
    for payload in payloads:
        publisher.publish("mining/submit", payload, qos=1)
    assert done.wait(20)
    for client in (publisher, subscriber):
        client.disconnect()
        client.loop_stop()


async def over_nats() -> None:
    """Publish messages to a subscriber, and ask a service that answers jobs."""
    heard: list[bytes] = []
    client = await nats.connect(f"nats://127.0.0.1:{NATS}")

    async def take(message: "nats.aio.msg.Msg") -> None:
        heard.append(message.data)

    async def answer(message: "nats.aio.msg.Msg") -> None:
        await message.respond(json.dumps({"job_id": "17", "result": "cd" * 32}).encode())

    await client.subscribe("mining.notify", cb=take)
    await client.subscribe("job", cb=answer)
    for payload in (*MESSAGES, DOCUMENT, LOG):
        await client.publish("mining.notify", payload.encode())
    for number in range(4):
        body = json.dumps({"worker": "rig7", "method": "submit", "job_id": f"{number:08x}"})
        await client.request("job", body.encode())
    await client.drain()
    assert len(heard) == len(MESSAGES) + 2


def over_beanstalk() -> None:
    """Put jobs into a tube, reserve and delete them."""
    with greenstalk.Client(("127.0.0.1", BEANSTALK), use="submit", watch="submit") as client:
        for number in range(6):
            client.put(json.dumps({"worker": "rig7", "job_id": f"{number:08x}", "nonce": number}))
        client.put(LOG)
        for _ in range(7):
            client.delete(client.reserve(timeout=5))


def quoted_over_beanstalk() -> None:
    """Put whole messages into a tube as the jobs of a test bench, and take them."""
    with greenstalk.Client(("127.0.0.1", BEANSTALK), use="bench", watch="bench") as client:
        for line in MESSAGES:
            client.put(line)
        for line in MESSAGES:
            job = client.reserve(timeout=5)
            assert job.body == line
            client.delete(job)


def main() -> None:
    """Record the family."""
    broker = program(["mosquitto", "-p", str(MQTT)], port=MQTT)
    software = [debian("mosquitto"), pypi("paho-mqtt")]
    with (
        broker,
        recorded(
            "mqtt",
            software=software,
            does="publishes messages, a log and results to a subscriber, MQTT 3.1.1 and 5",
            near="payloads are whole Stratum messages between a few bytes of framing",
        ),
    ):
        over_mqtt()
    server = program(["nats-server", "-a", "127.0.0.1", "-p", str(NATS)], port=NATS)
    with (
        server,
        recorded(
            "nats",
            software=[debian("nats-server"), pypi("nats-py")],
            does="publishes messages to a subscriber and calls a service",
            near="a payload stands alone on the line behind its PUB or MSG; CONNECT is JSON itself",
        ),
    ):
        asyncio.run(over_nats())
    argv = ["beanstalkd", "-l", "127.0.0.1", "-p", str(BEANSTALK)]
    software = [debian("beanstalkd"), pypi("greenstalk")]
    with program(argv, port=BEANSTALK):
        with recorded(
            "beanstalkd",
            software=software,
            does="puts jobs and a log into a tube, reserves and deletes them",
            near="each job is a JSON object on a line, with worker, job_id and nonce",
        ):
            over_beanstalk()
        with recorded(
            "beanstalkd-quotes",
            software=software,
            does="passes recorded messages to a test bench as jobs",
            near="each job is a whole Stratum message alone on a line behind its length",
        ):
            quoted_over_beanstalk()


if __name__ == "__main__":
    main()

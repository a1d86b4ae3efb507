"""The parsers, on what iperf3 3.12 and wrk 4.1.0 printed, cut down, and on what is no report."""

import pytest

from davylamp.bench.output import (
    Bulk,
    Requests,
    parse_iperf3,
    parse_own_bulk,
    parse_own_requests,
    parse_wrk,
)
from davylamp.errors import KernelError

IPERF3 = """{
	"start":	{
		"connected":	[{"socket": 5, "local_host": "10.90.0.11", "local_port": 41288}],
		"version":	"iperf 3.12"
	},
	"intervals":	[],
	"end":	{
		"streams":	[],
		"sum_sent":	{
			"start":	0,
			"end":	1.000327,
			"seconds":	1.000327,
			"bytes":	1353056256,
			"bits_per_second":	10820911706.381151,
			"retransmits":	96,
			"sender":	true
		},
		"sum_received":	{
			"start":	0,
			"end":	1.000392,
			"seconds":	1.000392,
			"bytes":	1339949056,
			"bits_per_second":	10715392014.330383,
			"sender":	true
		}
	}
}
"""
IPERF3_REFUSED = """{
	"start":	{"connected":	[], "version":	"iperf 3.12"},
	"intervals":	[],
	"end":	{
	},
	"error":	"unable to connect to server: Connection refused"
}
"""
WRK = """Running 1s test @ http://203.0.113.20/
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   823.82us    0.95ms   8.48ms   87.78%
    Req/Sec     7.72k     1.20k    9.84k    70.00%
  Latency Distribution
     50%  505.00us
     75%  657.00us
     90%    2.12ms
     99%    4.48ms
  7733 requests in 1.01s, 1.06MB read
Requests/sec:   7666.61
Transfer/sec:      1.05MB
"""
WRK_ERRORS = WRK.replace(
    "Requests/sec",
    "  Socket errors: connect 1, read 20, write 300, timeout 4000\n"
    "  Non-2xx or 3xx responses: 7\nRequests/sec",
)


def test_iperf3_is_read_at_the_receiver() -> None:
    """What arrived counts, not what was sent."""
    assert parse_iperf3(IPERF3) == Bulk(rate=10715392014.330383, size=1339949056)


def test_iperf3_complaint_is_passed_on() -> None:
    """What iperf3 says went wrong is in the error."""
    with pytest.raises(KernelError, match="Connection refused"):
        parse_iperf3(IPERF3_REFUSED)


@pytest.mark.parametrize("text", ["", "iperf3: command not found", "[]", "{}", '{"end": 3}'])
def test_iperf3_without_a_report(text: str) -> None:
    """Anything else is an error of ours, never a figure."""
    with pytest.raises(KernelError, match="iperf3"):
        parse_iperf3(text)


def test_wrk_is_read_in_seconds() -> None:
    """Rate, count and both percentiles, whatever unit each is printed in."""
    assert parse_wrk(WRK) == Requests(
        rate=7666.61, count=7733, failed=0, p50=505.0 * 1e-6, p99=4.48 * 1e-3
    )


def test_wrk_errors_are_added_up() -> None:
    """Socket errors of all four kinds and bad answers are failures."""
    assert parse_wrk(WRK_ERRORS).failed == 4328


@pytest.mark.parametrize("text", ["", "unable to connect to 203.0.113.77:http Connection refused"])
def test_wrk_without_a_report(text: str) -> None:
    """Where wrk could not connect there is an error, with its words."""
    with pytest.raises(KernelError, match="wrk did not measure"):
        parse_wrk(text)


def test_own_bulk() -> None:
    """Bytes over seconds, as bits."""
    assert parse_own_bulk('{"bytes": 1000, "seconds": 2.0}\n') == Bulk(rate=4000.0, size=1000)


def test_own_requests() -> None:
    """Answers over seconds, and the percentiles as they are."""
    line = '{"count": 900, "failed": 2, "seconds": 3.0, "p50": 0.001, "p99": 0.01}'
    assert parse_own_requests(line) == Requests(
        rate=300.0, count=900, failed=2, p50=0.001, p99=0.01
    )


@pytest.mark.parametrize("text", ["", "Traceback", "[]", '{"bytes": 1}', '{"seconds": 0}'])
def test_own_without_a_report(text: str) -> None:
    """A client that failed is an error, with its words."""
    for parse in (parse_own_bulk, parse_own_requests):
        with pytest.raises(KernelError):
            parse(text)

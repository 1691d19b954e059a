"""Configuration of a small Cassandra node, and the command that starts it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# A node with these options loses its data in a crash, because the server does not sync its own tables.
FAST = ("-Dcassandra.unsafesystem=true", "-Xms512m", "-Xmx512m")
# With the first option, Java uses its quick compiler alone. A node that lives for one run of the test suite then needs
# a third less processor time, even if it is busy. A measured node must have the second compiler. With the other two,
# Java does not verify the bytecode of the published classes, which would take most of a second of each start.
SHORT_LIVED = ("-XX:TieredStopAtLevel=1", "-XX:+UnlockDiagnosticVMOptions", "-XX:-BytecodeVerificationRemote")
# After each request, threads of Cassandra poll for the next one every 10 microseconds. With the usual timer slack of 50
# microseconds, this takes two thirds of the processor time of a node that receives one request after the other.
TIMER_SLACK_SECONDS = 0.001

_FOLDERS = ("commitlog", "saved_caches", "hints", "cdc_raw")
_LOGBACK = """\
<configuration>
  <appender name="STDOUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level %date{HH:mm:ss.SSS} %logger{0} %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="STDOUT"/></root>
</configuration>
"""
# The packages that Cassandra's own start script exports and opens on Java 17.
_EXPORTS = (
    *("java.base/jdk.internal.misc", "java.base/jdk.internal.ref", "java.base/sun.nio.ch"),
    *("java.management.rmi/com.sun.jmx.remote.internal.rmi", "java.rmi/sun.rmi.registry", "java.rmi/sun.rmi.server"),
    "java.sql/java.sql",
)
_OPENS = (
    *("java.base/java.io", "java.base/java.lang", "java.base/java.lang.module", "java.base/java.lang.reflect"),
    *("java.base/java.nio", "java.base/java.util", "java.base/java.util.concurrent"),
    *("java.base/java.util.concurrent.atomic", "java.base/jdk.internal.loader", "java.base/jdk.internal.math"),
    *("java.base/jdk.internal.module", "java.base/jdk.internal.ref", "java.base/jdk.internal.reflect"),
    *("java.base/jdk.internal.util.jar", "java.base/sun.nio.ch", "java.rmi/sun.rmi.transport.tcp"),
    "jdk.management/com.sun.management.internal",
)


@dataclass(frozen=True)
class Place:
    """The address and the ports of a node: other nodes connect to the storage port, clients to the native port.

    ``seed`` is the address of the node whose cluster it joins, or its own address.
    """

    address: str
    storage_port: int
    native_port: int
    seed: str


def write_configuration(folder: Path, place: Place, settings: dict[str, object]) -> None:
    """Write a node's configuration into ``folder``. ``settings`` replace the defaults; None removes a setting."""
    # An empty folder of triggers stops a warning that there is none.
    (folder / "triggers").mkdir(exist_ok=True)
    (folder / "logback.xml").write_text(_LOGBACK, encoding="utf-8")
    # JSON is YAML.
    given = {**_settings(folder, place), **settings}
    text = json.dumps({name: value for name, value in given.items() if value is not None}, indent=2)
    (folder / "cassandra.yaml").write_text(text, encoding="utf-8")


def command(java: Path, jars: Path, folder: Path, options: Sequence[str]) -> list[str]:
    """Return the command that starts the node of ``folder``; ``options`` are added to the options of Java."""
    (agent,) = jars.glob("jamm-*.jar")
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    properties = {
        "cassandra.config": (folder / "cassandra.yaml").as_uri(),
        "cassandra.storagedir": folder,
        "cassandra.logdir": folder,
        "cassandra.triggers_dir": folder / "triggers",
        "cassandra-foreground": "yes",
        "cassandra.skip_wait_for_gossip_to_settle": 0,
        # The tests use no roles, and a node that cannot yet create them in its ring would retry without a pause.
        "cassandra.superuser_setup_delay_ms": 3_600_000,
        "cassandra.shutdown_announce_in_ms": 100,
        # A node measures the heap of this many rows before it starts. The default, 100,000, takes two seconds.
        "cassandra.memtable_row_overhead_computation_step": 100,
        # The tests use no TLS. A node that prepares for it reads all certificates of the Java in another second.
        "cassandra.disable_tcactive_openssl": "true",
        "javax.net.ssl.trustStore": "NONE",
        # The clock that expires requests ticks every 100 milliseconds. The default, 2, is most of an idle node's work.
        "cassandra.approximate_time_precision_ms": 100,
        "logback.configurationFile": folder / "logback.xml",
        "java.io.tmpdir": temporary,
        "jdk.attach.allowAttachSelf": "true",
    }
    return [
        *(str(java), "-Xss256k", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-XX:-UsePerfData"),
        *(f"-D{name}={value}" for name, value in properties.items()),
        *openings(),
        *options,
        *(f"-javaagent:{agent}", "-cp", f"{jars}/*", "org.apache.cassandra.service.CassandraDaemon"),
    ]


def openings() -> list[str]:
    """Return the options of Java that Cassandra's classes need to load."""
    exports = [f"--add-exports={package}=ALL-UNNAMED" for package in _EXPORTS]
    return exports + [f"--add-opens={package}=ALL-UNNAMED" for package in _OPENS]


def _settings(folder: Path, place: Place) -> dict[str, object]:
    seeds = [{"seeds": f"{place.seed}:{place.storage_port}"}]
    return {
        "cluster_name": "feedstore tests",
        "num_tokens": 8,
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "data_file_directories": [str(folder / "data")],
        **{f"{name}_directory": str(folder / name) for name in _FOLDERS},
        "commitlog_sync": "periodic",
        "commitlog_sync_period": "10000ms",
        "seed_provider": [{"class_name": "org.apache.cassandra.locator.SimpleSeedProvider", "parameters": seeds}],
        "listen_address": place.address,
        "rpc_address": place.address,
        "storage_port": place.storage_port,
        "native_transport_port": place.native_port,
        "start_native_transport": True,
        "endpoint_snitch": "SimpleSnitch",
        "authenticator": "AllowAllAuthenticator",
        "authorizer": "AllowAllAuthorizer",
        "auto_snapshot": False,
        # The tests may run on a small machine.
        "commitlog_segment_size": "16MiB",
        "memtable_heap_space": "128MiB",
        "memtable_offheap_space": "128MiB",
        "concurrent_reads": 8,
        "concurrent_writes": 8,
        # The tests may run on a slow machine: a request that waits for a processor has not failed.
        "read_request_timeout": "20s",
        "range_request_timeout": "20s",
        "write_request_timeout": "20s",
        "truncate_request_timeout": "60s",
    }

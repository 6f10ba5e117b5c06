"""What the benchmarks share: a throw-away cluster, and poolers in front of it.

The cluster is below /tmp; root runs it all as the user "postgres".
"""

import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

CLIENTS, SERVERS = 64, 8
ROOT = pathlib.Path(__file__).resolve().parent.parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Lab:
    """A folder, a user, a CPU (or None for all), and whatever was started there."""

    def __init__(self, cpu):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="howdah-bench."))
        self.folder.chmod(0o755)
        self.bin = pathlib.Path(subprocess.check_output(["pg_config", "--bindir"], text=True).strip())
        self.cpu = cpu
        self.user = {}
        self.started = []
        if os.getuid() == 0:
            entry = pwd.getpwnam("postgres")
            self.user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)

    def on_cpu(self, command):
        return ["taskset", "-c", str(self.cpu), *map(str, command)] if self.cpu is not None else [*map(str, command)]

    def run(self, *command, env=None):
        done = subprocess.run(self.on_cpu(command), cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False, env={**os.environ, **(env or {})}, **self.user)
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} failed: {done.stderr[-2000:]}")
        return done.stdout

    def start(self, *command):
        log = open(self.folder / "log", "a", encoding="utf-8")
        process = subprocess.Popen(self.on_cpu(command), cwd=self.folder, stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, start_new_session=True, **self.user)
        self.started.append(process)
        return process

    def wait_for(self, port):
        for _ in range(300):
            try:
                self.run(self.bin / "psql", "-X", "-h", "127.0.0.1", "-p", port, "-U", "app", "-c", "select 1", "app")
                return
            except RuntimeError:
                if self.started[-1].poll() is not None:
                    break
                time.sleep(0.1)
        raise RuntimeError("no answer:\n" + (self.folder / "log").read_text()[-2000:])

    def close(self):
        for process in reversed(self.started):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Pooler:
    """settings: lines of its file, beyond the usual.  workers: None for one on each core."""

    def __init__(self, lab, name, program, server_port, settings=(), databases=("app",), workers=1):
        self.name, self.lab, self.port = name, lab, free_port()
        own = lab.folder / name
        own.mkdir()
        shutil.copy(program, own / name)  # the user may not see where it was built
        (own / "users").write_text('"app" ""\n')
        (own / "ini").write_text("\n".join([
            "[databases]", *(f"{db} = host={lab.folder} port={server_port} dbname=app" for db in databases), "[pgbouncer]",
            "listen_addr = 127.0.0.1", f"listen_port = {self.port}", "unix_socket_dir =",
            "auth_type = trust", f"auth_file = {own}/users", "pool_mode = transaction",
            f"default_pool_size = {SERVERS}", "max_client_conn = 18000", "log_connections = 0", "log_disconnections = 0",
            f"workers = {workers}" if workers and "howdah" in name else "", *settings, ""]))
        for path in (own, *own.iterdir()):
            path.chmod(0o755)
        self.process = lab.start(own / name, own / "ini")
        lab.wait_for(self.port)

    def cpu_ns(self):
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir())

    def measure(self, protocol, seconds, env=None):
        """CPU microseconds a transaction, transactions a second."""
        before = self.cpu_ns()
        out = self.lab.run(self.lab.bin / "pgbench", "-n", "-S", "-M", protocol, "-c", CLIENTS, "-T", seconds,
                           "-h", "127.0.0.1", "-p", self.port, "-U", "app", "app", env=env)
        used = self.cpu_ns() - before
        count = int(re.search(r"transactions actually processed: (\d+)", out)[1])
        return used / 1000 / count, count / seconds


def make_cluster(lab):
    lab.run(lab.bin / "initdb", "-D", lab.folder / "data", "-U", "app", "-A", "trust", "--no-sync")
    port = free_port()
    lab.start(lab.bin / "postgres", "-D", lab.folder / "data", "-p", port, "-k", lab.folder,
              "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=200")
    for _ in range(300):
        try:
            lab.run(lab.bin / "createdb", "-h", lab.folder, "-p", port, "-U", "app", "app")
            break
        except RuntimeError:
            time.sleep(0.1)
    lab.run(lab.bin / "pgbench", "-i", "-q", "-s", 5, "-h", lab.folder, "-p", port, "-U", "app", "app")
    return port

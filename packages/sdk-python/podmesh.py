"""The task side of podmesh for Python: spawn sub-tasks, wait for them, store and read artifacts, say how far one is.

One file, the standard library only, Python 3.8 or newer. Give it to a job as an input, or put it into its image.
A function of the program becomes a sub-task:

    import podmesh

    @podmesh.remote
    def tag(patch):
        return ...

    tags = [one.result() for one in [tag(p) for p in patches(img)]]

and so does any command, in the image of this task unless another "container" is named:

    half = podmesh.spawn({"command": ["sort", "/in/part"], "inputs": {"part": podmesh.put(part)},
                          "outputs": {"sorted": "fd:1"}})
    print(half.output("sorted"))

Each call is one HTTP request on the unix socket at /run/podmesh.sock. When the peer is restarted the socket is away
for a moment: every call here may be repeated safely, and is. A repeated attempt of a task that spawns the same jobs
(or names the same key) gets the sub-tasks of the attempt before it.
"""

import functools
import hashlib
import http.client
import importlib.util
import inspect
import json
import os
import pickle
import socket
import sys
import time
import traceback

__all__ = [
    "Client", "PodmeshError", "Task", "TaskFailed", "as_completed", "capacity", "download", "fetch", "me", "metrics",
    "progress", "put", "put_file", "remote", "spawn", "spawn_all",
]

SOCKET = "/run/podmesh.sock"
# The link above is missing in an image whose /run is a link or belongs to another user.
SOCKET_IN_DIRECTORY = "/run/podmesh/sock"
# How long a peer that is away is waited for: a restarted daemon needs seconds.
AWAY_SECONDS_MAX = 120.0
# One request waits so long for a sub-task; then it asks again.
WAIT_SECONDS = 60
MADE_AGAIN_SECONDS_MAX = 330
PIECE_BYTES = 1024 * 1024
# How it shows that nobody answers, or that the answer broke off.
_AWAY = (ConnectionError, FileNotFoundError, socket.timeout, http.client.HTTPException)


class PodmeshError(Exception):
    """The peer refused: `code` is for programs, the message for people."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status = status
        self.code = code


class TaskFailed(Exception):
    """A sub-task did not succeed; `view` is what is known of it."""

    def __init__(self, view):
        failure = view.get("failure") or {}
        super().__init__("%s %s: %s" % (view["task"], view["state"], failure.get("message", "")))
        self.view = view


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("podmesh", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise


class Task:
    """A sub-task."""

    def __init__(self, client, task, job=None, index=None):
        self._client = client
        self._view = {"task": task, "state": "waiting", "settled": False}
        self.id = task
        self.job = job
        self.index = index

    def __repr__(self):
        return "<podmesh.Task %s %s>" % (self.id, self.state)

    @property
    def state(self):
        """As of the last look: waiting, ready, running, held, succeeded, failed, skipped or cancelled."""
        return self._view["state"]

    @property
    def settled(self):
        return self._view["settled"]

    @property
    def view(self):
        """All that is known of it, as of the last look."""
        return self._view

    def look(self):
        """Looks now, and waits for nothing."""
        if not self.settled:
            self._view = self._client.ask("GET", "/v1/tasks/" + self.id)
        return self._view

    def wait(self, timeout=None):
        """Waits until it is settled; meanwhile the cores of this task are for others. Raises TimeoutError."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self.settled:
            left = WAIT_SECONDS if until is None else min(WAIT_SECONDS, max(0.0, until - time.monotonic()))
            self._view = self._client.ask("GET", "/v1/tasks/%s?wait=%dms" % (self.id, int(left * 1000)))
            if not self.settled and until is not None and time.monotonic() >= until:
                raise TimeoutError("%s is %s" % (self.id, self.state))
        return self._view

    def outputs(self, timeout=None):
        """Its outputs by name, each {"digest", "kind", "bytes"}. Raises TaskFailed."""
        view = self.wait(timeout)
        if view["state"] != "succeeded":
            raise TaskFailed(view)
        return view["outputs"]

    def output(self, name, timeout=None):
        """The bytes of an output. Raises TaskFailed."""
        return self._client.fetch(self.outputs(timeout)[name]["digest"])

    def json(self, name, timeout=None):
        """An output that is JSON. Raises TaskFailed."""
        return json.loads(self.output(name, timeout).decode("utf-8"))

    def result(self, timeout=None):
        """Of a call of a `remote` function: what it returned. Raises TaskFailed."""
        return pickle.loads(self.output(_RESULT, timeout))

    def cancel(self):
        """It is wanted no more, nor what it spawned: what has not begun never does, and what runs is ended."""
        if not self.settled:
            self._view = self._client.ask("DELETE", "/v1/tasks/" + self.id)
        return self._view

    def _seen(self, view):
        self._view = view


class Client:
    """What a task may ask of its peer. The functions of this module are its methods, at the usual socket."""

    def __init__(self, path=None, away_seconds_max=AWAY_SECONDS_MAX):
        self._path = path
        self._away_seconds_max = away_seconds_max

    def me(self):
        """Who am I: run, task, attempt, peer, …"""
        return self.ask("GET", "/v1/me")

    def capacity(self):
        """What the mesh has, and what of it is free."""
        return self.ask("GET", "/v1/capacity")

    def progress(self, fraction=None, message=None):
        """Says how far this task is: a number from 0 to 1, some words, or both."""
        said = {"fraction": fraction, "message": message}
        self.ask("POST", "/v1/progress", {name: one for name, one in said.items() if one is not None})

    def metrics(self, **values):
        """Says last values by name, as numbers."""
        self.ask("POST", "/v1/metrics", values)

    def put(self, content):
        """Stores bytes (text as UTF-8); the digest, which a sub-task takes as an input."""
        body = content.encode("utf-8") if isinstance(content, str) else bytes(content)
        return self.ask("PUT", "/v1/artifacts", body)["digest"]

    def put_file(self, path):
        """Stores a file without reading it into memory; the digest."""
        with open(path, "rb") as file:
            length = os.fstat(file.fileno()).st_size

            def rewound():
                file.seek(0)
                return file

            return self.ask("PUT", "/v1/artifacts", rewound, {"Content-Length": str(length)})["digest"]

    def fetch(self, digest):
        """The bytes of an artifact; of a directory its listing."""
        return self.ask("GET", "/v1/artifacts/" + digest)

    def download(self, digest, path):
        """Writes an artifact to a file; goes on where it was when the peer was away."""
        done = 0
        with open(path, "wb") as file:
            def take(response):
                nonlocal done
                if response.status == 200 and done > 0:
                    file.seek(0)
                    file.truncate()
                    done = 0
                for piece in iter(lambda: response.read(PIECE_BYTES), b""):
                    file.write(piece)
                    done += len(piece)
                if response.length:
                    raise http.client.IncompleteRead(b"", response.length)

            def range_of():
                return {"Range": "bytes=%d-" % done} if done > 0 else {}

            self._persist("GET", "/v1/artifacts/" + digest, None, range_of, take)

    def spawn(self, job, key=None):
        """Spawns one job, as in a graph; without "container" it runs in this task's image. A Task."""
        tasks = self.spawn_all([job], key)
        if len(tasks) != 1:
            raise ValueError('a job with "count" becomes %d tasks: use spawn_all' % len(tasks))
        return tasks[0]

    def spawn_all(self, jobs, key=None):
        """Spawns several jobs at once, which may read each other's outputs ("jobs:ID/OUTPUT"). Their Tasks."""
        order = {"jobs": list(jobs)}
        if key is not None:
            order["key"] = key
        spawned = self.ask("POST", "/v1/tasks", order)["tasks"]
        return [Task(self, one["task"], one["job"], one.get("index")) for one in spawned]

    def as_completed(self, tasks, timeout=None):
        """Yields the tasks as they are settled. Raises TimeoutError."""
        until = None if timeout is None else time.monotonic() + timeout
        left = {task.id: task for task in tasks}
        settled = 0
        while left:
            for task in [task for task in left.values() if task.settled]:
                del left[task.id]
                yield task
            if not left:
                return
            seconds = WAIT_SECONDS if until is None else min(WAIT_SECONDS, until - time.monotonic())
            if seconds <= 0:
                raise TimeoutError("%d tasks are not settled" % len(left))
            # Of all that were spawned, also by others parts of this program: the count is the peer's.
            seen = self.ask("GET", "/v1/tasks?settled=%d&wait=%dms" % (settled, int(seconds * 1000)))
            settled = seen["settled"]
            for view in seen["tasks"]:
                if view["task"] in left:
                    left[view["task"]]._seen(view)

    def ask(self, method, path, body=None, headers=None):
        """One request: JSON as objects, anything else as bytes. Raises PodmeshError."""
        sent = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode("utf-8")
            sent["Content-Type"] = "application/json"

        def take(response):
            content = response.read()
            if response.getheader("Content-Type") != "application/json":
                return content
            return json.loads(content.decode("utf-8"))

        return self._persist(method, path, body, lambda: sent, take)

    def _persist(self, method, path, body, headers, take):
        """Asks again while the peer is away: all that can be asked may be asked twice."""
        until = time.monotonic() + self._away_seconds_max
        rest = 0.05
        while True:
            try:
                return self._once(method, path, body, headers(), take)
            except _AWAY as error:
                if time.monotonic() + rest > until:
                    raise PodmeshError(0, "away", "the peer does not answer: %s" % error) from error
            except PodmeshError as error:
                if error.code not in ("mesh-unavailable", "too-many-requests") or time.monotonic() + rest > until:
                    raise
            time.sleep(rest)
            rest = min(2.0, rest * 2)

    def _once(self, method, path, body, headers, take):
        # Bytes that nobody has any more are made again before they are sent.
        patience = MADE_AGAIN_SECONDS_MAX if "/artifacts/" in path else WAIT_SECONDS * 2
        connection = _UnixConnection(self._socket(), patience)
        try:
            connection.request(method, path, body() if callable(body) else body, headers)
            response = connection.getresponse()
            if response.status >= 400:
                raise _refusal(response)
            return take(response)
        finally:
            connection.close()

    def _socket(self):
        if self._path is not None:
            return self._path
        return SOCKET if os.path.lexists(SOCKET) else SOCKET_IN_DIRECTORY


# Names of what a sub-task that calls a function reads and leaves.
_PROGRAM = "main.py"
_CALL = "call"
_RESULT = "result"
_RESULT_PATH = "/tmp/podmesh-result"
# Equal calls are equal bytes, whatever Python made them.
_PICKLE = 4


def remote(function=None, key=None, client=None, **job):
    """Makes each call of a function a sub-task, which runs the same file in the same image: a Task with `result()`.

    The file is imported there, so what it does at once belongs below `if __name__ == "__main__":`. Arguments and
    result are pickled. Members of a job such as needs, timeout, retries, spawn or container may be given. Equal calls
    are the same sub-task; `key(*args, **kwargs)` may name them instead.
    """
    if function is None:
        return functools.partial(remote, key=key, client=client, **job)
    path = os.path.abspath(inspect.getsourcefile(function))
    stored = {}

    @functools.wraps(function)
    def call(*args, **kwargs):
        peer = client or _client
        if not stored:
            stored[_PROGRAM] = peer.put_file(path)
            stored["podmesh.py"] = peer.put_file(os.path.abspath(__file__))
        content = pickle.dumps((function.__name__, args, kwargs), protocol=_PICKLE)
        order = {
            "command": ["python3", "/in/podmesh.py"],
            "outputs": {_RESULT: "file:" + _RESULT_PATH},
        }
        order.update(job)
        order["env"] = dict({"PYTHONPATH": "/in"}, **job.get("env", {}))
        order["inputs"] = dict(stored, **{_CALL: peer.put(content)}, **job.get("inputs", {}))
        name = "%s-%s" % (function.__name__, hashlib.sha256(content).hexdigest()[:12])
        return peer.spawn(order, name if key is None else key(*args, **kwargs))

    call.here = function
    return call


def _answer_call(directory="/in"):
    """In a sub-task: makes the call that was asked for."""
    with open(os.path.join(directory, _CALL), "rb") as file:
        name, args, kwargs = pickle.load(file)
    # Where the file says `import podmesh` it is this one.
    sys.modules.setdefault("podmesh", sys.modules[__name__])
    spec = importlib.util.spec_from_file_location("main", os.path.join(directory, _PROGRAM))
    program = importlib.util.module_from_spec(spec)
    sys.modules["main"] = program
    spec.loader.exec_module(program)
    function = getattr(program, name)
    result = getattr(function, "here", function)(*args, **kwargs)
    with open(_RESULT_PATH, "wb") as file:
        pickle.dump(result, file, protocol=_PICKLE)


def _refusal(response):
    content = response.read()
    try:
        error = json.loads(content.decode("utf-8"))["error"]
        return PodmeshError(response.status, error["code"], error["message"])
    except (ValueError, KeyError, TypeError):
        return PodmeshError(response.status, "unknown", "HTTP %d" % response.status)


_client = Client()

me = _client.me
capacity = _client.capacity
progress = _client.progress
metrics = _client.metrics
put = _client.put
put_file = _client.put_file
fetch = _client.fetch
download = _client.download
spawn = _client.spawn
spawn_all = _client.spawn_all
as_completed = _client.as_completed

if __name__ == "__main__":
    try:
        _answer_call()
    except Exception:
        traceback.print_exc()
        sys.exit(1)

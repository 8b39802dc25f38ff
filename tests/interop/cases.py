"""Runs the cases of an interop test written in Python, one after the other, and prints a line for each."""
import faulthandler
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

BROKEN = 99
_cases = []


class Failed(Exception):
    pass


class TimedOut(BaseException):
    """Not an Exception: a case that catches those is ended all the same."""


def case(*arguments):
    """Decorates a function; with arguments it is a case for each of them."""
    def add(function):
        name = function.__name__
        if arguments:
            _cases.extend(("%s(%s)" % (name, argument), lambda a=argument: function(a)) for argument in arguments)
        else:
            _cases.append((name, function))
        return function
    return add


def named(name, function):
    """A case of this name."""
    _cases.append((name, function))


def equal(got, wanted, what):
    if got != wanted:
        raise Failed("%s: %.200r, expected %.200r" % (what, got, wanted))


def holds(condition, what):
    if not condition:
        raise Failed(what)


def built(*path):
    """A file of the build directory; a test that is run without one is set up wrong."""
    file = os.path.join(os.environ.get("TRIB_BUILD", "."), *path)
    if not os.path.exists(file):
        print("%s is missing" % file)
        sys.exit(BROKEN)
    return file


def scratch():
    """A directory that goes with the process."""
    directory = tempfile.TemporaryDirectory(prefix="trib-")
    _kept.append(directory)
    return directory.name


_kept = []


def tidy():
    """For a process that ends by os._exit()."""
    while _kept:
        _kept.pop().cleanup()


def start(*command, ready, stream="stderr", **options):
    """A process in the background; returns when a line of the stream has `ready` in it. The last line so far is in lines[-1]."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True, **{stream: subprocess.PIPE}, **options)
    source = getattr(process, stream)
    process.lines = []
    for line in source:
        process.lines.append(line)
        if ready in line:
            threading.Thread(target=process.lines.extend, args=(source,), daemon=True).start()
            return process
    raise Failed("%s: ended with %s: %s" % (" ".join(command), process.wait(), "".join(process.lines)))


def stop(process, number=signal.SIGTERM, seconds=10):
    """The exit code, after the signal."""
    process.send_signal(number)
    return process.wait(seconds)


def _alarm(number, frame):
    faulthandler.dump_traceback()
    raise TimedOut()


def run(wanted=(), seconds=20, closing=False):
    """The cases of these names, or all of them, each bounded in time, and a closing line; returns the exit code."""
    known = dict(_cases)
    failed = 0
    faulthandler.enable()
    signal.signal(signal.SIGALRM, _alarm)
    for name in wanted or known:
        begin = time.monotonic()
        why = _why_not(known.get(name), seconds)
        took = "%.2f s" % (time.monotonic() - begin)
        print("FAIL  %s: %s" % (name, why) if why else "pass  %s (%s)" % (name, took), flush=True)
        failed += why is not None
    if closing:
        print("%d passed, %d failed, 0 skipped" % (len(wanted or known) - failed, failed))
    return 1 if failed else 0


def _why_not(function, seconds):
    """None where the case holds."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        if function is None:
            return "there is no such case"
        function()
        return None
    except TimedOut:
        return "not done within %d seconds" % seconds
    except Failed as failure:
        return str(failure)
    except Exception:
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)

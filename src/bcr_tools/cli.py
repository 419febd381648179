"""The command line: `./bcr COMMAND …`."""

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from bcr.scenario.diagnostics import nearest
from bcr_run import output
from bcr_run.allowances import TooLittle, demand_for_runs
from bcr_run.extras import NotSetUp, demand
from bcr_run.scratch import scratch_folder
from bcr_run.supervision import Interrupted, TimeLimitReached, supervise
from bcr_runtime.places import IS_CHECKOUT, own_version


def _run(arguments: list[str]) -> int:
    from bcr_tools.run import main

    return main(arguments)


def _check(arguments: list[str]) -> int:
    from bcr_tools.checking import main

    return main(arguments)


def _show(arguments: list[str]) -> int:
    from bcr_show.show import main

    return main(arguments)


def _scenarios(arguments: list[str]) -> int:
    from bcr_tools.scenarios import main

    return main(arguments)


def _atlas(arguments: list[str]) -> int:
    from bcr_tools.atlas import main

    return main(arguments)


def _storm(arguments: list[str]) -> int:
    from bcr_tools.storm import main

    return main(arguments)


def _inspect(arguments: list[str]) -> int:
    from bcr_tools.inspecting import main

    return main(arguments)


def _olympus(arguments: list[str]) -> int:
    from bcr_tools.recovering import main

    return main(arguments)


def _verify(arguments: list[str]) -> int:
    from bcr_tools.verify import main

    return main(arguments)


def _grade(arguments: list[str]) -> int:
    from bcr_tools.grade import main

    return main(arguments)


def _read(arguments: list[str]) -> int:
    from bcr_tools.read import main

    return main(arguments)


def _blame(arguments: list[str]) -> int:
    from bcr_tools.blame import main

    return main(arguments)


def _sim(arguments: list[str]) -> int:
    from bcr_sim.sim import main

    return main(arguments)


def _spec(arguments: list[str]) -> int:
    from bcr_spec.spec import main

    return main(arguments)


def _hunt(arguments: list[str]) -> int:
    from bcr_sim.hunt import main

    return main(arguments)


def _fuzz(arguments: list[str]) -> int:
    from bcr_fuzz.fuzz import main

    return main(arguments)


def _bugs(arguments: list[str]) -> int:
    from bcr_sim.bugs import main

    return main(arguments)


def _bench(arguments: list[str]) -> int:
    from bcr_bench.bench import main

    return main(arguments)


def _test(arguments: list[str]) -> int:
    from bcr_tools.testing import main

    return main(arguments)


def _matrix(arguments: list[str]) -> int:
    from bcr_tools.matrix import main

    return main(arguments)


def _soak(arguments: list[str]) -> int:
    from bcr_tools.soak import main

    return main(arguments)


def _serve(arguments: list[str]) -> int:
    from bcr_service.serve import main

    return main(arguments)


def _node(arguments: list[str]) -> int:
    from bcr_service.node import main

    return main(arguments)


def _backup(arguments: list[str]) -> int:
    from bcr_tools.backing_up import main

    return main(arguments)


def _restore(arguments: list[str]) -> int:
    from bcr_tools.backing_up import restore_main

    return restore_main(arguments)


def _console(arguments: list[str]) -> int:
    from bcr_service.console import main

    return main(arguments)


def _asking(name: str) -> Callable[[list[str]], int]:
    """A command of the console as one of the command line."""

    def command(arguments: list[str]) -> int:
        from bcr_service.console import command_main

        return command_main(name, arguments)

    return command


def _log(arguments: list[str]) -> int:
    from bcr_tools.chain_log import main

    return main(arguments)


def _install(arguments: list[str]) -> int:
    from bcr_tools.installation import main

    return main(arguments)


def _lock(arguments: list[str]) -> int:
    from bcr_tools.lock import main

    return main(arguments)


def _completion(arguments: list[str]) -> int:
    from bcr_tools.completion import main

    return main(arguments)


def _reference(arguments: list[str]) -> int:
    from bcr_tools.reference import main

    return main(arguments, COMMANDS)


# Command -> what does it, given its arguments, and what it is for. Each imports what it needs when it is called: most need much.
COMMANDS: Mapping[str, tuple[Callable[[list[str]], int], str]] = {
    "run": (_run, "run scenario files, each to a verdict; without FILE config/first_run.config"),
    "serve": (_serve, "keep a store running behind HTTP until it is asked to end"),
    "node": (_node, "hold replicas of a service that is spread over several hosts, on one of them"),
    "console": (_console, "type commands to a service: values, proofs, status; help tells which"),
    "get": (_asking("get"), "print the value of a key of a service, once it is proved"),
    "put": (_asking("put"), "write a value to a service"),
    "append": (_asking("append"), "put a value at the end of a list of a service"),
    "delete": (_asking("delete"), "remove a value from a service"),
    "keys": (_asking("keys"), "list the keys of a service"),
    "status": (_asking("status"), "tell how a service is"),
    "check": (_check, "read scenario or service files and say what is wrong with them"),
    "show": (_show, "tell the story of a run, and make its page; without RUN the latest"),
    "scenarios": (_scenarios, "run all scenarios of config/ and hold testing.txt against them"),
    "atlas": (_atlas, "run every fault, and hold its outcome against what the protocol prescribes"),
    "storm": (_storm, "run many scenarios with random faults, each from a seed"),
    "verify": (_verify, "check a record, evidence, or the proof of an answer, offline, and say what it proves, and by whom"),
    "log": (_log, "print the hash-chained log that the servers of a run of Raft held, and follow it; without RUN of the latest"),
    "read": (_read, "read a key off a replica's disk as of its last checkpoint, with a proof that anybody can check"),
    "blame": (_blame, "name the replicas of a run that their own signatures convict, with the statements"),
    "inspect": (_inspect, "tell in words what a folder of disks holds"),
    "backup": (_backup, "back up a service into a file, also while it runs"),
    "restore": (_restore, "make the folder of a new service of a backup, once that is checked"),
    "olympus": (_olympus, "make another log where the disk of Olympus is lost"),
    "sim": (_sim, "simulate scenario files in virtual time, under an oracle"),
    "spec": (_spec, "hold simulated runs against the specification that runs, and measure what its queries cost"),
    "hunt": (_hunt, "simulate many seeds on all cores, and make small scenarios of what fails"),
    "fuzz": (_fuzz, "send what nobody should send, as a stranger, an insider and a caller, and say what came of it"),
    "bugs": (_bugs, "put known bugs into the source, in memory, and count the seeds until the hunt finds them"),
    "grade": (_grade, "grade a changed src: scenarios, seeds and sentences, under limits, with points"),
    "bench": (_bench, "measure what an operation must cost, and compare with others"),
    "test": (_test, "run all checks of the project; arguments go to pytest"),
    "matrix": (_matrix, "run the tests on every Python at hand"),
    "soak": (_soak, "start DistAlgo's examples many times, under load, and count hangs"),
    "install": (_install, "install what an extra needs, before a command asks for it"),
    "lock": (_lock, "renew the locked versions, in requirements*.lock"),
    "completion": (_completion, "print what lets a shell complete commands and options"),
    "reference": (_reference, "renew the pages of docs/reference/: scenario files and commands"),
}

# Commands that start others and leave ending them to us: they run in a process of their own, with a temporary folder
# of their own, and whatever ends us ends these.
SUPERVISED = {"grade", "scenarios", "atlas", "storm", "hunt", "fuzz", "bugs", "bench", "soak", "matrix"}
# Commands that start, or simulate, runs or services.
RUNNING = SUPERVISED | {"run", "sim", "spec", "serve", "node"}
# Commands that read the project's tests, docs or locks, which only a checkout has.
OF_A_CHECKOUT = {"bugs", "lock", "matrix", "reference", "scenarios", "spec", "test", "grade"}
DOCS = "--docs"  # the option of any command that writes a page of the project, where there is one
# Command -> the extras of pyproject.toml that it needs.
NEEDS = {"completion": ("completion",), "atlas": ("bench",), "bench": ("bench",), "console": ("service",), "grade": ("test",), "reference": ("service",), "serve": ("service",), "node": ("service",),
         "test": ("test", "completion", "bench", "dask", "service")}  # fmt: skip
IS_SUPERVISED = "BCR_SUPERVISOR"  # the environment's variable that tells such a process who sees to its end
WATCH_PAUSE_S = 0.5
NO_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO)
NO_TEMPORARY = "No usable temporary directory"  # as Python says that no file can be written to any
COMMAND_LIMIT_S = 30 * 24 * 3_600.0


def usage() -> str:
    """What `--help` prints."""
    lines = [f"  {name:<11}{purpose}" for name, (_, purpose) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: ./bcr COMMAND [ARGUMENT …]",
            "",
            "Byzantine chain replication: the Shuttle protocol, run and checked.",
            "",
            *lines,
            "",
            "Each command has its own --help. Exit status: 0 pass, 1 fail, 2 unknown or bad input.",
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    output.prepare()
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        status = _dispatch(name, rest)
    except Interrupted as interruption:
        status = interruption.status
    except (NotSetUp, TooLittle) as problem:
        output.complain(f"bcr {name}: {problem}")
        status = 2
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except MemoryError:
        output.complain(f"bcr {name}: there is no more memory")
        status = 2
    except BrokenPipeError:
        output.abandon(sys.stdout)
        status = output.CUT_OFF
    except OSError as error:
        about = "" if error.filename is None else f"{error.filename}: "
        if isinstance(error, FileNotFoundError) and not about and error.errno == errno.ENOENT and NO_TEMPORARY not in str(error):
            about = "the current directory is gone: "
        if error.errno == errno.EAGAIN:
            about = "no more processes may be started: "
        if error.errno in NO_ROOM and not about:
            about = "what it has to write cannot be written: "
        output.complain(f"bcr {name}: {about}{error.strerror or error}")
        output.abandon(sys.stdout)
        status = 2
    return output.flushed(status)


def _dispatch(name: str, rest: list[str]) -> int:
    if "_ARGCOMPLETE" in os.environ:
        from bcr_tools.completion import complete

        return complete(COMMANDS)
    if name in ("-h", "--help", "help"):
        print(usage())
        return 0
    if name == "--version":
        print(f"bcr {own_version()}")
        return 0
    if name not in COMMANDS:
        output.complain(f"bcr: no command {name}; {nearest(name, COMMANDS)}")
        return 2
    if not IS_CHECKOUT and (name in OF_A_CHECKOUT or _asks_for_docs(rest)):
        what = "" if name in OF_A_CHECKOUT else f" {DOCS}"
        output.complain(f"bcr {name}{what}: works in a checkout of the project only, and this is an installed package")
        return 2
    asks_for_help = any(each in ("-h", "--help") for each in rest)
    if not asks_for_help:
        demand(*NEEDS.get(name, ()))
        if name in RUNNING:
            demand_for_runs()
    supervisor = os.environ.pop(IS_SUPERVISED, None)  # for us alone, and not for what we start
    if supervisor is not None:
        _end_with(int(supervisor))
    elif name in SUPERVISED and not asks_for_help:
        return _supervised([name, *rest])
    command, _ = COMMANDS[name]
    return command(rest)


def _asks_for_docs(arguments: Sequence[str]) -> bool:
    """Whether these arguments, which a parser takes abbreviated too, ask for a page of the project to be written."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return any(len(each) > len("--") and DOCS.startswith(each) for each in options)


def _end_with(supervisor: int) -> None:
    """End this process and all of its group when the supervisor has ended without ending them, as when it was killed."""

    def watch() -> None:
        while os.getppid() == supervisor:
            time.sleep(WATCH_PAUSE_S)
        os.killpg(os.getpgid(0), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def _supervised(arguments: list[str]) -> int:
    """Run the command in a process of its own. Raises Interrupted, when nothing of it is left."""
    with scratch_folder() as folder:
        environment = {**os.environ, IS_SUPERVISED: str(os.getpid()), "TMPDIR": str(folder)}
        try:
            status = supervise(
                [sys.executable, "-P", "-m", "bcr_tools.cli", *arguments],
                None,
                COMMAND_LIMIT_S,
                environment=environment,
                ends_with_us=False,  # it ends with all of its group, see `_end_with`
            )
        except TimeLimitReached as limit:
            output.complain(f"bcr {arguments[0]}: {limit}")
            return 2
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())

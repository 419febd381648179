"""`./bcr console`, and `./bcr get|put|append|delete|keys|status` for scripts: the verifying client at a terminal."""

import argparse
import contextlib
import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from bcr_client import NothingHappened, OutcomeUnknown, Store, StoreError, UnprovedStore, UntrustedAnswer
from bcr_client.connecting import connected
from bcr_client.json_values import escaped, shown
from bcr_client.proof import in_words, key_of
from bcr_client.wire import context_for, place_of
from bcr_run import output
from bcr_service.command_language import FORMS, OF_LABORATORY, OF_MEMBERS, Command, NotUnderstood, checked, helped, understood, with_value
from bcr_service.proof_in_words import KEY_VARIABLE

DEFAULT_URL = "http://127.0.0.1:8080"
LIMIT_S = 10.0
ANSWER_LIMIT_BYTES = 8 << 20
QUOTES = "'\""  # in which the console takes, and shows, what is no plain word
TOKEN_VARIABLE, CA_VARIABLE = "BCR_TOKEN", "BCR_CA_FILE"
DONE, NOTHING, BAD_INPUT, LIED, UNKNOWN = range(5)
EPILOG = f"""The public key of Olympus is the one that ./bcr serve tells; {KEY_VARIABLE} of the environment takes the place of --olympus-key.
Without it the key is asked of the gateway itself, and then nothing is checked about the gateway; it is said so. So it is where the
protocol proves nothing to callers, as Raft: then the gateway is believed.
Likewise {TOKEN_VARIABLE} has the token itself, and {CA_VARIABLE} takes the place of --ca-file.
Exit status: 0 done; 1 nothing happened, or there is no value; 2 bad input; 3 the answer does not hold; 4 it may have happened."""


class Access(msgspec.Struct, frozen=True):
    """What it takes to call a service that is not open to everybody on this machine."""

    token: str | None = None
    ca_file: str | None = None


class Plain:
    """What of the service is no store: told by the gateway, and not proved."""

    def __init__(self, url: str, access: Access) -> None:
        """Raises ValueError for what is no address of a gateway, and for certificates that are none."""
        self.url = url
        self._place = place_of(url)
        self._headers = {} if access.token is None else {"authorization": f"Bearer {access.token}"}
        self._context = context_for([self._place], access.ca_file)

    def ask(self, path: str, method: str = "GET", accept: str = "text/plain", body: bytes | None = None) -> bytes:
        """The body of an answer. Raises NothingHappened, or OutcomeUnknown where what was asked for may have happened all the same."""
        with self._answer(path, method, accept, body) as answer:
            return answer.read(ANSWER_LIMIT_BYTES)

    def told(self, path: str, name: str) -> tuple[Any, dict[str, Any]]:
        """What an answer in JSON says under a name, and all of it. Raises NothingHappened where this is not what gateways answer."""
        try:
            document = json.loads(self.ask(path, accept="application/json"))
            return document[name], document
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise NothingHappened(f"{self.url}: who answers there is no gateway of a store", is_proved=True) from error

    def events(self) -> Iterable[str]:
        """What has happened, a line each, as far as it is told at once."""
        with self._answer("/events", "GET", "text/event-stream", None) as stream:
            for line in stream:
                if line.startswith(b":"):
                    return
                if line.startswith(b"data: "):
                    yield _event(json.loads(line[6:]))

    @contextlib.contextmanager
    def _answer(self, path: str, method: str, accept: str, body: bytes | None) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self._place.host, self._place.port, timeout=LIMIT_S)
        try:
            connection.sock = connected(self._place, self._context, time.monotonic() + LIMIT_S)
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise NothingHappened(f"{self.url}: {why}", is_proved=True) from error
        try:
            connection.sock.settimeout(LIMIT_S)
            connection.request(method, path, body, {"host": str(self._place), "accept": accept, **self._headers})
            answer = connection.getresponse()
            if not 200 <= answer.status < 300:
                raise _refusal(answer.status, answer.read(1 << 16), method)
            yield answer
        except TimeoutError as error:
            raise _unanswered(f"{self.url}: no answer within {LIMIT_S:g} s", method) from error
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            raise _unanswered(f"{self.url}: no answer that a gateway gives: {error or type(error).__name__}", method) from error
        finally:
            connection.close()


def _unanswered(text: str, method: str) -> StoreError:
    """What may be concluded where something was sent and no answer came: to read changes nothing."""
    return NothingHappened(text, is_proved=True) if method == "GET" else OutcomeUnknown(text)


def _refusal(status: int, body: bytes, method: str) -> StoreError:
    try:
        problem = json.loads(body)
        detail, is_definite = str(problem["detail"]), problem.get("definite") is True
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        detail, is_definite = f"status {status}", False
    return NothingHappened(detail) if is_definite or status < 500 or method == "GET" else OutcomeUnknown(detail)


def _event(event: Mapping[str, Any]) -> str:
    values = " ".join(f"{name}={value}" for name, value in event.items() if name not in ("number", "at", "kind") and value is not None)
    return f"{event['at'][11:23]} {event['kind']:<16}{values}"


class ConsoleSession:
    """Does what was typed, and says what came of it."""

    def __init__(self, store: Store, plain: Plain, say: Callable[[str], object] = print) -> None:
        self._store = store
        self._plain = plain
        self._say = say

    def do(self, command: Command) -> int:
        """Do it; returns DONE, or NOTHING where there was no value. Raises StoreError, and OSError where a file cannot be written."""
        name, words = command.name, command.words
        if name == "get":
            found = self._store.get_versioned(words[0])
            self._say("no value" if found is None else shown(found.value))
            return NOTHING if found is None else DONE
        if command.doubt:
            output.complain(f"bcr {name}: {command.doubt}")
        if name in ("put", "append"):
            version = self._store.put(words[0], command.value) if name == "put" else self._store.append(words[0], command.value)
            self._say("version {}.{}.{}".format(*version))
        elif name == "delete":
            is_gone = self._store.delete(words[0])
            self._say("deleted" if is_gone else "no value")
            return DONE if is_gone else NOTHING
        elif name == "keys":
            for key in self._store.keys(words[0] if words else ""):
                self._say(key if key.isprintable() and key[0] not in QUOTES else repr(key))
        elif name == "proof":
            self._prove(*words)
        elif name == "status":
            self._say(escaped(self._plain.ask("/admin/status").decode(errors="replace").rstrip(), kept="\n"))
        elif name == "log":
            for line in self._plain.events():
                self._say(escaped(line))
        elif name in OF_MEMBERS:
            method, path = OF_MEMBERS[name]
            self._plain.ask(f"/admin/{path}/{quote(words[0])}", method)
            self._say("asked for; `log` tells what came of it")
        elif name in OF_LABORATORY:
            path = "/".join(map(quote, [OF_LABORATORY[name], *words]))
            self._plain.ask(f"/lab/{path}", "POST", body=(command.value or "").encode())
            self._say("asked for; `log` tells what came of it")
        else:
            self._say(helped())
        return DONE

    def _prove(self, key: str, file: str | None = None) -> None:
        self._store.get(key)
        proof = self._store.last_proof
        if proof is None:
            raise NothingHappened("there is no proof: this protocol proves nothing to callers")
        self._say(in_words(proof, proof.check(self._store.olympus_key)))
        if file is not None:
            proof.save(file)
            self._say(f"kept in {file}; ./bcr verify {file} checks it again")


def key_for(options: argparse.Namespace, plain: Plain) -> bytes:
    """The key of Olympus that answers are checked with. Raises ValueError, and NothingHappened where nobody is there."""
    given = options.olympus_key or os.environ.get(KEY_VARIABLE)
    if given:
        return key_of(given)
    told = str(plain.told("/configuration", "olympus_key")[0])
    output.complain(f"bcr: the key of Olympus is the gateway's word ({escaped(told[:16])}…): give --olympus-key to check the gateway too")
    return key_of(told)


def store_for(options: argparse.Namespace, url: str, access: Access, plain: Plain) -> Store:
    """The client that checks all that can be checked, once it is told where nothing can. Raises ValueError, and NothingHappened."""
    has_key = options.olympus_key or os.environ.get(KEY_VARIABLE)
    if not has_key:
        has_proofs, told = plain.told("/admin/status", "proofs")
        if not has_proofs:
            output.complain(
                f"bcr: protocol {escaped(str(told.get('protocol')))} proves nothing to callers: what the gateway says is taken for true"
            )
            return UnprovedStore(url, token=access.token, ca_file=access.ca_file)
    return Store(url, key_for(options, plain), token=access.token, ca_file=access.ca_file)


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"bcr {name}", description=FORMS[name].purpose if name in FORMS else __doc__, epilog=EPILOG,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--url", default=DEFAULT_URL, help="the gateway (default: %(default)s)")
    parser.add_argument("--olympus-key", metavar="HEX", help="the public key of Olympus")
    parser.add_argument("--token-file", metavar="FILE", help="a file with the token that the service asks for")
    parser.add_argument("--ca-file", metavar="FILE", help="the certificates that an https:// gateway's is checked against")
    return parser


def access_of(options: argparse.Namespace) -> Access:
    """What the options and the environment say. Raises ValueError."""
    token = os.environ.get(TOKEN_VARIABLE)
    if options.token_file:
        try:
            token = Path(options.token_file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{options.token_file}: no token: {error}") from error
    return Access(token or None, options.ca_file or os.environ.get(CA_VARIABLE) or None)


def command_main(name: str, arguments: list[str]) -> int:
    """`bcr get KEY` and its like; the exit statuses are those of EPILOG."""
    parser = _parser(name)
    parser.add_argument("words", nargs="*", metavar=FORMS[name].written.partition(" ")[2] or "…",
                        help="what it is about, in the words of the console")  # fmt: skip
    options = parser.parse_args(arguments)
    has_value = FORMS[name].has_value
    try:
        if has_value and len(options.words) != 2:
            raise NotUnderstood(f"expected {FORMS[name].written}")
        command = with_value(name, (options.words[0],), options.words[1]) if has_value else Command(name, tuple(options.words))
        if not has_value:
            checked(command)
        access = access_of(options)
        plain = Plain(options.url, access)
        if name == "status":
            store: Store = UnprovedStore(options.url, token=access.token, ca_file=access.ca_file)  # which asks nothing
        else:
            store = store_for(options, options.url, access, plain)
        with store:
            return attempted(lambda: ConsoleSession(store, plain).do(command), name)
    except ValueError as problem:
        output.complain(f"bcr {name}: {problem}")
        return BAD_INPUT
    except StoreError as error:
        return _status_of(error, name)


def attempted(do: Callable[[], int], name: str) -> int:
    """The exit status of what `do` does, which is told where it fails."""
    try:
        return do()
    except StoreError as error:
        return _status_of(error, name)


def _status_of(error: StoreError, name: str) -> int:
    told = f"bcr {name}: {escaped(str(error))}"
    if isinstance(error, UntrustedAnswer):
        output.complain(told)
        return LIED
    if isinstance(error, NothingHappened):
        output.complain(f"{told}{'' if error.is_proved else ' (nothing happened, says the gateway)'}")
        return NOTHING
    output.complain(f"{told}: it may have happened, and may not; only a read can tell")
    return UNKNOWN


# -- the console


def main(arguments: list[str]) -> int:
    """`bcr console [URL]`: reads commands until its input ends; from a file or a pipe as well."""
    parser = _parser("console")
    parser.add_argument("address", nargs="?", metavar="URL", help="the gateway, as --url")
    options = parser.parse_args(arguments)
    url = options.address or options.url
    try:
        access = access_of(options)
        plain = Plain(url, access)
        with store_for(options, url, access, plain) as store:
            return converse(ConsoleSession(store, plain), lines_typed(store) if sys.stdin.isatty() else sys.stdin)
    except ValueError as problem:
        output.complain(f"bcr console: {problem}")
        return BAD_INPUT
    except StoreError as error:
        return _status_of(error, "console")


def converse(session: ConsoleSession, lines: Iterable[str]) -> int:
    """Do what stands in the lines, one after the other; returns the worst that came of them."""
    worst = DONE
    for line in lines:
        try:
            command = understood(line)
            if command is None:
                continue
            if command.name in ("quit", "exit"):
                break
            worst = max(worst, attempted(lambda each=command: session.do(each), command.name))  # type: ignore[misc]
        except NotUnderstood as problem:
            output.complain(str(problem))
            worst = max(worst, NOTHING)
        except OSError as error:
            output.complain(f"{error.filename}: {error.strerror}")
            worst = max(worst, NOTHING)
    return worst


def lines_typed(store: Store) -> Iterable[str]:
    """Lines as somebody types them, with history and completion, until Ctrl-D."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
    from prompt_toolkit.completion import NestedCompleter

    replicas = {f"replica_{position}": None for position in range(3)}
    words: dict[str, Any] = dict.fromkeys(FORMS)
    words |= dict.fromkeys(OF_LABORATORY, dict.fromkeys(replicas, replicas))
    prompt: PromptSession[str] = PromptSession(
        completer=NestedCompleter.from_nested_dict(words),
        auto_suggest=AutoSuggestFromHistory(),
        bottom_toolbar=lambda: f"{store.place.host}:{store.place.port}  configuration {store.seen.configuration}  help, quit",
    )
    while True:
        try:
            yield prompt.prompt("bcr> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return

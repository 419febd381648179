"""Certificates of the hosts of a service: Olympus's node is the authority, each host has a key of its own, and may have another address each time.

The authority is in a folder of the service's data, and knows by which key each host has joined: nobody else takes its name, whoever has
the cookie. A host's key never leaves its folder.
"""

import datetime
import ipaddress
import os
import time
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bcr_runtime.host_certificates import AUTHORITY, CERTIFICATE, KEY
from bcr_service.access import Unusable
from bcr_service.hosting import DAMAGE, JOINED, KnownHost, known_hosts

VALID_DAYS = 30  # a certificate of a host; it gets another one each day, and when it joins
AUTHORITY_DAYS = 3_650
SKEW = datetime.timedelta(hours=1)  # between the clocks of two hosts
REQUESTED = "requested"  # in a host's folder: the number of what it has last asked for
MOST_NUMBER = (1 << 63) - 1
_CURVE = ec.SECP256R1()
_REQUEST = b"bcr: a host asks for a certificate\n"


class NoCertificate(Exception):
    """Somebody gets no certificate; the text says why."""


class CertificateRequest(msgspec.Struct, frozen=True):
    """What a host asks the authority for: a certificate for its public key, in PEM.

    The signature is by that key, of the host's name, its address and the number, which is higher each time: so nobody else asks for that, and
    whoever repeats it, at whatever address, gets nothing.
    """

    key: str
    number: Annotated[int, msgspec.Meta(ge=0, le=MOST_NUMBER)]
    signature: bytes


class HostFolder:
    """Where a host keeps its key, its certificate, and that of the authority. Raises OSError and Unusable."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._key = _key_in(folder / KEY)
        self._number = _number_in(folder / REQUESTED)

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The host's."""
        return self._key.public_key()

    def request(self, host: str, address: str) -> CertificateRequest:
        """What the authority is asked for: a certificate for this host's key. Raises OSError."""
        number = max(time.time_ns(), self._number + 1)  # a clock may be set back
        _write(self.folder / REQUESTED, str(number).encode())
        self._number = number
        signature = self._key.sign(_requested(host, address, number), ec.ECDSA(hashes.SHA256()))
        return CertificateRequest(_key_in_pem(self.public_key), number, signature)

    def take(self, certificate: str, authority: str) -> None:
        """Keep what the authority has answered with; links that begin from now on use it."""
        _write(self.folder / AUTHORITY, authority.encode())
        _write(self.folder / CERTIFICATE, certificate.encode())


class Authority:
    """Issues certificates to hosts with these names. Raises OSError and Unusable."""

    def __init__(self, folder: Path, hosts: tuple[str, ...]) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = folder / JOINED
        self._hosts = hosts
        self._key = _key_in(folder / KEY)
        self._certificate = self._certificate_in(folder / CERTIFICATE)
        try:
            self._known = known_hosts(self._file)
        except DAMAGE as error:
            raise Unusable(
                f"{self._file} is damaged ({error}); without it hosts join anew, each under the key that it comes with"
            ) from error

    @property
    def certificate(self) -> str:
        """Its own, in PEM."""
        return _in_pem(self._certificate)

    def issue(self, host: str, address: str, request: CertificateRequest) -> str:
        """A certificate, in PEM, for the host of this name, which is at this address now. Raises NoCertificate and OSError, with nothing changed."""
        if host not in self._hosts:
            raise NoCertificate(f"{host} is none of the hosts that the service's file names")
        try:
            key = serialization.load_pem_public_key(request.key.encode())
            at = ipaddress.ip_address(address)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise NoCertificate(f"what {host} asks for is no request for a certificate") from error
        # Else keys of whatever kind and size would be kept.
        if not (isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == _CURVE.name):
            raise NoCertificate(f"what {host} asks for is a certificate for no key of {_CURVE.name}")
        try:
            key.verify(request.signature, _requested(host, address, request.number), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise NoCertificate(f"what {host} asks for is not signed for this name and this address") from error
        pem = _key_in_pem(key)
        known = self._known.get(host)
        if known is not None and known.key != pem:
            raise NoCertificate(
                f"{host} has joined with another key before; if its folder is lost, remove it from {self._file.name} of the service"
            )
        if known is not None and known.number >= request.number:
            raise NoCertificate(
                f"{host} has asked for this before, or for something later; if its folder is an old copy, set its clock, which is behind"
            )
        self._note(host, pem, address, request.number)
        return self._certified(host, at, key)

    def issue_own(self, host: str, address: str, folder: HostFolder) -> None:
        """Let the folder of the service's own node have a certificate."""
        folder.take(self._certified(host, ipaddress.ip_address(address), folder.public_key), self.certificate)

    def _certified(self, host: str, at: ipaddress.IPv4Address | ipaddress.IPv6Address, key: ec.EllipticCurvePublicKey) -> str:
        names = [x509.IPAddress(at)] if host == str(at) else [x509.DNSName(host), x509.IPAddress(at)]
        now = datetime.datetime.now(datetime.UTC)
        built = x509.CertificateBuilder().subject_name(_called(host)).issuer_name(self._certificate.subject).public_key(key)
        built = built.serial_number(x509.random_serial_number()).not_valid_before(now - SKEW)
        built = built.not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
        built = built.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return _in_pem(built.add_extension(issuer, critical=False).sign(self._key, hashes.SHA256()))

    def _note(self, host: str, key: str, address: str, number: int) -> None:
        known = {
            name: KnownHost(each.key, [one for one in each.addresses if one != address], each.number) for name, each in self._known.items()
        }
        before = known[host].addresses if host in known else []
        known[host] = KnownHost(key, [*before, address], number)
        _write(self._file, msgspec.json.encode(known))
        self._known = known  # only now: what is not on the disk nobody has joined with

    def _certificate_in(self, path: Path) -> x509.Certificate:
        if path.exists():
            try:
                found = x509.load_pem_x509_certificate(path.read_bytes())
                _ = found.subject  # which is read only when it is asked for
            except ValueError as error:
                raise Unusable(f"{path} is no certificate in PEM") from error
            return found
        now = datetime.datetime.now(datetime.UTC)
        called = _called("bcr authority")
        built = x509.CertificateBuilder().subject_name(called).issuer_name(called).public_key(self._key.public_key())
        built = built.serial_number(x509.random_serial_number()).not_valid_before(now - SKEW)
        built = built.not_valid_after(now + datetime.timedelta(days=AUTHORITY_DAYS))
        built = built.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        built = built.add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
        own = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        made = built.add_extension(own, critical=False).sign(self._key, hashes.SHA256())
        _write(path, _in_pem(made).encode())
        return made


def _called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _in_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_in_pem(key: ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def _requested(host: str, address: str, number: int) -> bytes:
    """What a host signs when it asks for a certificate."""
    return _REQUEST + msgspec.json.encode((host, address, number))


def _number_in(path: Path) -> int:
    """The number in a file, 0 where there is none."""
    try:
        return int(path.read_bytes()) if path.exists() else 0
    except ValueError as error:
        raise Unusable(f"{path} is damaged; without it the clock alone says which number is next") from error


def _key_in(path: Path) -> ec.EllipticCurvePrivateKey:
    """The private key in a file, for its owner alone; one that is not there is made."""
    if not path.exists():
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        _write(path, ec.generate_private_key(_CURVE).private_bytes(*form))
    if path.stat().st_mode & 0o077:
        raise Unusable(f"{path}: others on this machine may use this key; chmod 600 keeps it to its owner")
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Unusable(f"{path} is no private key in PEM") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Unusable(f"{path} is no key of {_CURVE.name}")
    return key


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing, for its owner alone."""
    draft = path.with_suffix(f"{path.suffix}.new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)

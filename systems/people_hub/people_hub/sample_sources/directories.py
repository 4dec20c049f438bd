"""Starts a real OpenLDAP as the stand-in for MCommunity or the Active Directory: TLS, a login, and MCommunity's cap.

Each directory lives in a temporary folder with a certificate of its own authority, and runs as whoever starts it.
"""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import trustme
from ldap3 import Connection, Server
from ldap3.core.exceptions import LDAPException

from people_hub.sample_sources.people import AD_BASE, MCOMMUNITY_BASE

SLAPD = next(
    (
        path
        for path in ("/usr/sbin/slapd", "/usr/libexec/slapd", shutil.which("slapd") or "")
        if path and Path(path).exists()
    ),
    None,
)
CAP = 350
PASSWORD = "sample-directory-password"
ADMIN_PASSWORD = "sample-admin-password"
START_SECONDS = 20
_OID = "1.3.6.1.4.1.99999"
_TEXT = "EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15"
_DN = "EQUALITY distinguishedNameMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.12"
_NUMBER = "EQUALITY integerMatch ORDERING integerOrderingMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE"
_TIME = (
    "EQUALITY generalizedTimeMatch ORDERING generalizedTimeOrderingMatch "
    "SYNTAX 1.3.6.1.4.1.1466.115.121.1.24 SINGLE-VALUE"
)
_OCTETS = "EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE"
MCOMMUNITY_ATTRIBUTES = {
    "umichTitle": _TEXT, "umichPostalAddress": _TEXT, "umichPostalAddressData": _TEXT, "umichDescription": _TEXT,
    "umichGroupEmail": _TEXT, "umichDirectMember": _DN, "umichDirectGroupMember": _DN, "umichPrivate": _TEXT,
    "joinable": _TEXT, "Membersonly": _TEXT, "umichExpiryTimestamp": _TIME,
}  # fmt: skip
AD_ATTRIBUTES = {
    "sAMAccountName": _TEXT, "objectGUID": _OCTETS, "objectSid": _OCTETS, "userPrincipalName": _TEXT,
    "userAccountControl": _NUMBER, "groupType": _NUMBER, "memberOf": _DN, "whenCreated": _TIME, "whenChanged": _TIME,
    "uSNChanged": _NUMBER, "lastLogon": _NUMBER, "logonCount": _NUMBER, "dNSHostName": _TEXT, "operatingSystem": _TEXT,
    "managedBy": _DN, "dsServiceName": _TEXT, "highestCommittedUSN": _NUMBER,
}  # fmt: skip
_MAY_BE = (
    "MAY ( displayName $ mail $ description $ title $ givenName $ telephoneNumber $ mobile $ "
    + " $ ".join(AD_ATTRIBUTES)
    + " )"
)
MCOMMUNITY_CLASSES = (
    "NAME 'umichPerson' SUP top AUXILIARY MAY ( umichTitle $ umichPostalAddress $ umichPostalAddressData )",
    (
        "NAME 'umichGroup' SUP top STRUCTURAL MUST cn MAY ( member $ owner $ gidNumber $ umichDescription $ "
        "umichGroupEmail $ umichDirectMember $ umichDirectGroupMember $ umichPrivate $ joinable $ Membersonly $ "
        "umichExpiryTimestamp )"
    ),
)
AD_CLASSES = (
    f"NAME 'adAccount' SUP top AUXILIARY {_MAY_BE}",
    f"NAME 'group' SUP top STRUCTURAL MUST cn {_MAY_BE.replace('MAY ( ', 'MAY ( member $ ')}",
    "NAME 'computer' SUP person STRUCTURAL",
)

Entries = Iterable[tuple[str, Mapping[str, Sequence[str | bytes]]]]


class SampleDirectory:
    """A running slapd with its own certificate authority."""

    def __init__(self, home: Path, suffix: str, *, is_capped: bool, authority: trustme.CA | None = None) -> None:
        """Write the configuration; `load` fills it and `start` starts it."""
        self.home = home
        self.suffix = suffix
        self.user = f"cn=hub,{suffix}"
        self.is_capped = is_capped
        self.root_entry: dict[str, str] = {}
        home.mkdir(parents=True, exist_ok=True)
        authority = authority or trustme.CA()
        self.ca_file = home / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        certificate.private_key_pem.write_to_path(str(home / "key.pem"))
        certificate.cert_chain_pems[0].write_to_path(str(home / "certificate.pem"))
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def load(self, entries: Entries) -> None:
        """Replace everything by some entries; the server must be down."""
        shutil.rmtree(self.home / "data", ignore_errors=True)
        (self.home / "data").mkdir()
        self._write_configuration()
        folders = {
            MCOMMUNITY_BASE: ("ou=People", "ou=Groups", "ou=User Groups,ou=Groups"),
            AD_BASE: ("OU=Accounts", "OU=MCommADSync", "OU=Workstations"),
        }[self.suffix]
        kind = "dcObject" if self.suffix.startswith("dc=") else "organizationalUnit"
        top: dict[str, list[str | bytes]] = (
            {"objectClass": ["organization", kind], "o": ["University"], "dc": [self.suffix.split(",")[0][3:]]}
            if kind == "dcObject"
            else {"objectClass": [kind], "ou": [self.suffix.split(",")[0][3:]]}
        )
        fixed: list[tuple[str, Mapping[str, Sequence[str | bytes]]]] = [
            (self.suffix, top),
            (
                self.user,
                {
                    "objectClass": ["applicationProcess", "simpleSecurityObject"],
                    "cn": ["hub"],
                    "userPassword": [PASSWORD],
                },
            ),
            *(
                (f"{folder},{self.suffix}", {"objectClass": ["organizationalUnit"], "ou": [folder.split(",")[0][3:]]})
                for folder in folders
            ),
        ]
        ldif = self.home / "data.ldif"
        with ldif.open("w", encoding="utf-8") as file:
            for dn, attributes in (*fixed, *entries):
                file.write(_ldif(dn, attributes))
        slapadd = str(Path(str(SLAPD)).parent / "slapadd")
        done = subprocess.run(
            [slapadd, "-q", "-f", str(self.home / "slapd.conf"), "-l", str(ldif)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"slapadd refused the entries: {done.stderr[-2000:]}")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._write_configuration()
        self._process = subprocess.Popen(
            [str(SLAPD), "-d", "0", "-f", str(self.home / "slapd.conf"), "-h", f"ldaps://127.0.0.1:{self.port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError("slapd does not start")

    def stop(self) -> None:
        """Stop the server, if it runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_SECONDS)
            self._process = None

    def restart_with_root_entry(self, **attributes: str) -> None:
        """Start again with other attributes in the root entry, as another domain controller would show."""
        self.stop()
        self.root_entry = attributes
        self.start()

    def administer(self) -> Connection:
        """Return a connection that may change everything."""
        server = Server("127.0.0.1", self.port, use_ssl=True)
        return Connection(server, f"cn=admin,{self.suffix}", ADMIN_PASSWORD, auto_bind=True, raise_exceptions=True)

    def change(self, dn: str, **attributes: list[Any]) -> None:
        """Replace attributes of an entry."""
        with self.administer() as connection:
            try:
                connection.modify(dn, {name: [("MODIFY_REPLACE", values)] for name, values in attributes.items()})
            except LDAPException as error:
                raise RuntimeError(f"{dn} cannot be changed: {error}") from error

    def remove(self, dn: str) -> None:
        """Remove an entry."""
        with self.administer() as connection:
            connection.delete(dn)

    def environment(self) -> dict[str, str]:
        """Return the settings by which the hub reaches the directory."""
        if self.suffix == MCOMMUNITY_BASE:
            return {
                "MCOMMUNITY_LDAP_SERVER": "127.0.0.1",
                "MCOMMUNITY_LDAP_PORT": str(self.port),
                "MCOMMUNITY_LDAP_BASE": self.suffix,
                "MCOMMUNITY_LDAP_USER": self.user,
                "MCOMMUNITY_LDAP_PASSWORD": PASSWORD,
                "MCOMMUNITY_LDAP_CA_FILE": str(self.ca_file),
            }
        return {
            "AD_SERVER": "127.0.0.1",
            "AD_PORT": str(self.port),
            "AD_SEARCH_BASE": self.suffix,
            "AD_USER": self.user,
            "AD_PASSWORD": PASSWORD,
            "AD_CA_FILE": str(self.ca_file),
        }

    def _write_configuration(self) -> None:
        """Write slapd.conf, the schema and the root entry."""
        attributes, classes = (
            (MCOMMUNITY_ATTRIBUTES, MCOMMUNITY_CLASSES)
            if self.suffix == MCOMMUNITY_BASE
            else (AD_ATTRIBUTES, AD_CLASSES)
        )
        lines = [
            f"attributetype ( {_OID}.1.{number} NAME '{name}' {syntax} )"
            for number, (name, syntax) in enumerate(attributes.items(), 1)
        ]
        lines += [f"objectclass ( {_OID}.2.{number} {text} )" for number, text in enumerate(classes, 1)]
        (self.home / "own.schema").write_text("\n".join(lines) + "\n")
        root = "dn:\n" + "".join(f"{name}: {value}\n" for name, value in self.root_entry.items())
        (self.home / "root.ldif").write_text(root)
        schemas = ("core", "cosine", "inetorgperson", "nis")
        cap = f"size.soft={CAP} size.hard={CAP} size.pr=500 size.prtotal={CAP}" if self.is_capped else "size=unlimited"
        (self.home / "slapd.conf").write_text(
            "\n".join(
                [
                    *(f"include /etc/ldap/schema/{name}.schema" for name in schemas),
                    f"include {self.home}/own.schema",
                    *([f"rootDSE {self.home}/root.ldif"] if self.root_entry else []),
                    "modulepath /usr/lib/ldap",
                    "moduleload back_mdb",
                    f"pidfile {self.home}/slapd.pid",
                    "disallow bind_anon",
                    f"TLSCertificateFile {self.home}/certificate.pem",
                    f"TLSCertificateKeyFile {self.home}/key.pem",
                    f"TLSCACertificateFile {self.home}/ca.pem",
                    "database mdb",
                    "maxsize 1073741824",
                    f'suffix "{self.suffix}"',
                    f'rootdn "cn=admin,{self.suffix}"',
                    f"rootpw {ADMIN_PASSWORD}",
                    f"directory {self.home}/data",
                    f'limits dn.exact="{self.user}" {cap}',
                    "access to attrs=userPassword by anonymous auth by * none",
                    f'access to * by dn.exact="{self.user}" read by * none',
                    "index objectClass eq",
                    "index cn,uid eq,sub" if self.suffix == MCOMMUNITY_BASE else "index cn eq,sub",
                ]
            )
            + "\n"
        )


def _ldif(dn: str, attributes: Mapping[str, Sequence[str | bytes]]) -> str:
    """Return an entry in LDIF, values in base64."""
    lines = [f"dn:: {_base64(dn)}"]
    for name, values in attributes.items():
        lines += [f"{name}:: {_base64(value)}" for value in values]
    return "\n".join(lines) + "\n\n"


def _base64(value: str | bytes) -> str:
    return base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

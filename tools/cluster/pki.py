"""Certificates of a cluster, made by the openssl program."""

import base64
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.errors import ClusterError, tail
from tools.cluster.plan import INSIDE, Plan

DAYS = "3650"


@dataclass(frozen=True)
class Certificate:
    """One key and certificate to make: file name, subject, subject alternative names, and its CA."""

    name: str
    subject: str
    names: tuple[str, ...] = ()
    authority: str = "ca"


def certificates(plan: Plan) -> list[Certificate]:
    """All certificates of a cluster, in no special order."""
    net = plan.network
    serving = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
    addresses = ("127.0.0.1", str(net.kubernetes), str(net.api))
    fixed = [
        Certificate(
            "apiserver",
            "/CN=kube-apiserver",
            (*(f"DNS:{name}" for name in serving), *(f"IP:{address}" for address in addresses)),
        ),
        Certificate("admin", "/O=system:masters/CN=admin"),
        Certificate("controller-manager", "/CN=system:kube-controller-manager"),
        Certificate("scheduler", "/CN=system:kube-scheduler"),
        Certificate("proxy", "/CN=system:kube-proxy"),
        Certificate("kwok", "/O=system:masters/CN=kwok"),
        Certificate("apiserver-kubelet", "/O=system:masters/CN=apiserver-kubelet"),
        # The aggregation layer (metrics-server) wants a CA and a client certificate of its own.
        Certificate("front-proxy", "/CN=front-proxy-client", authority="front-ca"),
    ]
    nodes = [
        Certificate(
            f"node{node}",
            f"/O=system:nodes/CN=system:node:node{node}",
            (f"DNS:node{node}", f"IP:{net.node(node)}"),
        )
        for node in range(1, plan.nodes + 1)
    ]
    return fixed + nodes


def make_all(plan: Plan, folder: Path) -> None:
    """Writes `<name>.key` and `<name>.crt` for both CAs and every certificate, and the service accounts' key.

    Raises:
        ClusterError: openssl failed.
    """
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    _key(folder / "service-accounts.key")
    for authority in ("ca", "front-ca"):
        _key(folder / f"{authority}.key")
        _openssl("req", "-x509", "-new", "-key", f"{authority}.key", "-subj", f"/CN={authority}",
                 "-days", DAYS, "-out", f"{authority}.crt", folder=folder)  # fmt: skip
    for serial, certificate in enumerate(certificates(plan), start=1):
        _sign(certificate, serial, folder)


def _key(path: Path) -> None:
    _openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", path.name, folder=path.parent)


def _sign(certificate: Certificate, serial: int, folder: Path) -> None:
    name = certificate.name
    _key(folder / f"{name}.key")
    _openssl("req", "-new", "-key", f"{name}.key", "-subj", certificate.subject,
             "-out", f"{name}.csr", folder=folder)  # fmt: skip
    extension = ["extendedKeyUsage=clientAuth,serverAuth"]
    if certificate.names:
        extension.append("subjectAltName=" + ",".join(certificate.names))
    (folder / f"{name}.ext").write_text("\n".join(extension) + "\n")
    _openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{certificate.authority}.crt",
             "-CAkey", f"{certificate.authority}.key", "-set_serial", str(serial), "-days", DAYS,
             "-extfile", f"{name}.ext", "-out", f"{name}.crt", folder=folder)  # fmt: skip


def _openssl(*arguments: str, folder: Path) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"openssl {arguments[0]} failed\n{tail(done.stderr)}", where=str(folder))


def kubeconfig(server: str, user: str, folder: Path) -> str:
    """A kubeconfig with everything inside, as JSON (which is YAML), so that it can be copied anywhere."""

    def data(name: str) -> str:
        return base64.b64encode((folder / name).read_bytes()).decode()

    cluster = {"server": server, "certificate-authority-data": data("ca.crt")}
    credentials = {"client-certificate-data": data(f"{user}.crt"), "client-key-data": data(f"{user}.key")}
    return _kubeconfig(cluster, credentials)


def inside_kubeconfig(server: str, user: str) -> str:
    """A kubeconfig for a daemon of the cluster, which reads the files by their paths inside."""
    pki = f"{INSIDE}/pki"
    cluster = {"server": server, "certificate-authority": f"{pki}/ca.crt"}
    credentials = {"client-certificate": f"{pki}/{user}.crt", "client-key": f"{pki}/{user}.key"}
    return _kubeconfig(cluster, credentials)


def _kubeconfig(cluster: dict[str, str], credentials: dict[str, str]) -> str:
    name = "perennial"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": credentials}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return json.dumps(document, indent=1) + "\n"

"""A repository in Git on this machine, in the layout of examples/gitops."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_AUTHOR = ("-c", "user.name=Tests", "-c", "user.email=tests@example.com", "-c", "commit.gpgsign=false")


@dataclass(frozen=True)
class Repository:
    """A repository with one branch, `main`, that a commit goes straight to."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> "Repository":
        """Make an empty repository."""
        folder.mkdir(parents=True)
        made = cls(folder)
        made._git("init", "--quiet", "--initial-branch=main")
        return made

    @property
    def url(self) -> str:
        """What Argo CD clones from."""
        return self.folder.as_uri()

    def read(self, path: str) -> Any:
        """Return the only document of a file."""
        return yaml.safe_load((self.folder / path).read_text(encoding="utf-8"))

    def commit(self, files: Mapping[str, Any]) -> str:
        """Write documents to files, take away those that are None, and return the new commit."""
        for name, document in files.items():
            path = self.folder / name
            if document is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            # JSON is YAML, too, and has no words that a reader of YAML 1.1 takes for true, such as y.
            path.write_text(json.dumps(document, indent=2), encoding="utf-8")
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", f"Change {', '.join(sorted(files)[:3])}")
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *_AUTHOR, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

"""Small charts, written by the tests that install them."""

from __future__ import annotations

import tarfile
from pathlib import Path

_CONFIG_MAP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-settings}
data:
  colour: {{ .Values.colour | quote }}
  {{- if .Values.password }}
  password: {{ .Values.password | quote }}
  {{- end }}
"""
_POD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}-app}
spec:
  replicas: 1
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      containers: [{name: app, image: {{ .Values.image }}}]
"""
_FAILING = """
apiVersion: v1
kind: ConfigMap
metadata: {name: "Not A Name"}
data: {secret: {{ .Values.password | quote }}}
"""


def chart(folder: Path, *, version: str = "1.2.3", pod: bool = False, failing: bool = False) -> Path:
    """Write a chart with a ConfigMap; with a pod that nothing runs; or with what the API server refuses."""
    root = folder / "tiny"
    (root / "templates").mkdir(parents=True, exist_ok=True)
    (root / "Chart.yaml").write_text(f'apiVersion: v2\nname: tiny\nversion: {version}\nappVersion: "9"\n')
    (root / "values.yaml").write_text("colour: red\nimage: none\n")
    (root / "templates" / "map.yaml").write_text(_FAILING if failing else _CONFIG_MAP)
    if pod:
        (root / "templates" / "app.yaml").write_text(_POD)
    return root


def packed(root: Path) -> Path:
    """Return the chart as an archive."""
    archive = root.with_suffix(".tgz")
    with tarfile.open(archive, "w:gz") as file:
        file.add(root, arcname="tiny")
    return archive

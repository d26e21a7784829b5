"""Generates files of the Helm chart: CRD templates, RBAC rules, values and their schema."""

from perennial.api.common.base import GROUP
from perennial.generate import rbac
from perennial.generate.crd import DEFINITIONS, Definition, definition
from perennial.generate.text import MARK, literal, to_yaml
from perennial.generate.valuesfiles import values_schema, values_yaml

CHART = "charts/perennial"
CRD_TEMPLATES = f"{CHART}/templates/crds"

_METADATA = """\
metadata:
  name: {name}
  labels:
    {{{{- include "perennial.labels" . | nindent 4 }}}}
  {{{{- if or .Values.crds.keep .Values.crds.annotations }}}}
  annotations:
    {{{{- if .Values.crds.keep }}}}
    helm.sh/resource-policy: keep
    {{{{- end }}}}
    {{{{- with .Values.crds.annotations }}}}
    {{{{- toYaml . | nindent 4 }}}}
    {{{{- end }}}}
  {{{{- end }}}}
"""


def chart_files() -> dict[str, str]:
    """Return the text of every generated chart file, by its path in the repository."""
    return {
        f"{CHART}/values.yaml": values_yaml(),
        f"{CHART}/values.schema.json": values_schema(),
        f"{CHART}/templates/_rules.tpl": f"{{{{- /* {MARK} */}}}}\n{rbac.template()}",
        **{f"{CRD_TEMPLATES}/{item.kind.plural}.yaml": crd_template(item) for item in DEFINITIONS},
    }


def crd_template(item: Definition) -> str:
    """Return a CRD as a template that the values under `crds` can omit, keep on uninstall, and annotate.

    It is a template because Helm never upgrades the files in a chart's `crds` folder.
    """
    crd = definition(item)
    head = to_yaml({key: crd[key] for key in ("apiVersion", "kind")})
    body = literal(to_yaml({"spec": crd["spec"]}))
    metadata = _METADATA.format(name=f"{item.kind.plural}.{GROUP}")
    return f"# {MARK}\n{{{{- if .Values.crds.enabled }}}}\n{head}{metadata}{body}{{{{- end }}}}\n"

"""The generated files of the Helm chart: CRDs as templates, the rules of its roles, values and their schema."""

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
    """Return the text of every generated file of the chart, by path."""
    return {
        f"{CHART}/values.yaml": values_yaml(),
        f"{CHART}/values.schema.json": values_schema(),
        f"{CHART}/templates/_rules.tpl": f"{{{{- /* {MARK} */}}}}\n{rbac.template()}",
        **{f"{CRD_TEMPLATES}/{item.kind.plural}.yaml": crd_template(item) for item in DEFINITIONS},
    }


def crd_template(item: Definition) -> str:
    """Return a CRD as a template: it can be left out, kept, and annotated by the chart's values.

    It lies among the templates, since Helm never upgrades what lies in a chart's `crds` folder.
    """
    crd = definition(item)
    head = to_yaml({key: crd[key] for key in ("apiVersion", "kind")})
    body = literal(to_yaml({"spec": crd["spec"]}))
    metadata = _METADATA.format(name=f"{item.kind.plural}.{GROUP}")
    return f"# {MARK}\n{{{{- if .Values.crds.enabled }}}}\n{head}{metadata}{body}{{{{- end }}}}\n"

"""The parts of a ScaledObject of KEDA that the operator reads.

Every field has a default: the status comes from KEDA, and what it leaves out must not fail a reconcile.
"""

from perennial.api.common.base import Model, ObjectMeta
from perennial.api.kubernetes import KubeConditions


class ScaledObjectStatus(Model):
    """What KEDA says about a ScaledObject."""

    conditions: KubeConditions = ()


class ScaledObject(Model):
    """A ScaledObject."""

    metadata: ObjectMeta
    status: ScaledObjectStatus = ScaledObjectStatus()

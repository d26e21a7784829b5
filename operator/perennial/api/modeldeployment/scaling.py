"""How many pods serve, and what decides between the fewest and the most."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Model, Name, Quantity, Rule, ShortText, exactly_one, rules


class Replicas(Model):
    """How many pods serve."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="!has(self.max) || self.min <= self.max",
                message="replicas.min must not be greater than replicas.max",
            )
        )
    }

    min: int = Field(1, ge=1, le=1000, description="Fewest pods. `kubectl scale` writes it.")
    max: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Most pods. Above min, a HorizontalPodAutoscaler decides between them. Unset: the same as min.",
    )

    @property
    def most(self) -> int:
        """Return the most pods: `max`, or `min` where that is unset."""
        return self.min if self.max is None else self.max


class PodsMetric(Model):
    """A custom metric of the pods, averaged over them."""

    metric: ShortText = Field(description="Name in the custom metrics API.")
    average: Quantity = Field(description="Value per pod to aim at.")


class RuntimeMetric(Model):
    """A custom metric of the pods, by the name that the runtime's preset gives it."""

    metric: Name = Field(description="Name in the preset, such as queue (requests that wait in the server) or gpu.")
    average: Quantity = Field(description="Value per pod to aim at.")


class ExternalMetric(Model):
    """A metric of something outside the cluster."""

    model_config = {"json_schema_extra": rules(exactly_one("average", "value"))}

    metric: ShortText = Field(description="Name in the external metrics API.")
    selector: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=16)] | None = Field(
        None, description="Labels that the metric must have."
    )
    average: Quantity | None = Field(None, description="Value per pod to aim at.")
    value: Quantity | None = Field(None, description="Value in all to aim at.")


class AutoscalingMetric(Model):
    """One reason to scale; the one that asks for the most pods wins."""

    model_config = {"json_schema_extra": rules(exactly_one("cpu", "memory", "runtime", "pods", "external"))}

    cpu: int | None = Field(None, ge=1, le=1000, description="Percent of the CPU request to aim at.")
    memory: int | None = Field(None, ge=1, le=1000, description="Percent of the memory request to aim at.")
    runtime: RuntimeMetric | None = Field(None, description="A metric that the runtime's preset names.")
    pods: PodsMetric | None = Field(None, description="A custom metric of the pods.")
    external: ExternalMetric | None = Field(None, description="A metric of something outside the cluster.")


class ScalingPolicy(Model):
    """How much may change within a time."""

    type: Literal["Pods", "Percent"] = Field(description="What value counts: pods, or percent of the pods there are.")
    value: int = Field(ge=1, le=1000, description="Most that may be added or taken away within the time.")
    period_seconds: int = Field(60, ge=1, le=1800, description="The time, in seconds.")


class ScalingRules(Model):
    """How fast to go in one direction."""

    stabilization_window_seconds: int | None = Field(
        None,
        ge=0,
        le=3600,
        description="Seconds to look back; the most careful wish within them wins. Unset: 0 up, 300 down.",
    )
    select_policy: Literal["Max", "Min", "Disabled"] | None = Field(
        None, description="Which policy wins: the one that allows most (Max, the default), least, or none at all."
    )
    policies: Annotated[tuple[ScalingPolicy, ...], Field(max_length=4)] | None = Field(
        None, description="Unset: as Kubernetes does: up 4 pods or 100 percent in 15 s, down 100 percent in 15 s."
    )


class ScalingBehavior(Model):
    """How fast the autoscaler may go, as in a HorizontalPodAutoscaler."""

    scale_up: ScalingRules | None = Field(None, description="Adding pods.")
    scale_down: ScalingRules | None = Field(None, description="Taking pods away.")

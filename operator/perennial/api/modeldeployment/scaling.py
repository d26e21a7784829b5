"""Number of pods, and the metrics and behavior of the autoscaler."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Model, Name, Quantity, Rule, ShortText, exactly_one, rules


class Replicas(Model):
    """Number of pods."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="!has(self.max) || self.min <= self.max",
                message="replicas.min must not be greater than replicas.max",
            ),
            Rule(
                rule="self.min > 0 || has(self.max)",
                message="replicas.min 0 needs replicas.max: the number of pods while the model is awake",
            ),
        )
    }

    min: int = Field(
        1,
        ge=0,
        le=1000,
        description="Minimum number of pods. `kubectl scale` sets this field. 0: the model sleeps without pods until "
        "an entry `trigger` of autoscaling wakes it; needs KEDA in the cluster. During the rollout of a candidate that "
        "is compared with it, it is kept awake.",
    )
    max: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Maximum number of pods. If greater than min, an autoscaler scales between them: a "
        "HorizontalPodAutoscaler, or KEDA where autoscaling has a trigger. Unset: the same as min.",
    )
    cooldown_seconds: int | None = Field(
        None,
        ge=0,
        le=86400,
        description="Seconds without an active trigger after which KEDA removes the last pod, where min is 0. Unset: "
        "300.",
    )

    @property
    def most(self) -> int:
        """Maximum number of pods: `max`, or `min` if that is unset."""
        return self.min if self.max is None else self.max

    @property
    def autoscaled(self) -> bool:
        """Whether an autoscaler decides how many pods there are."""
        return self.most > self.min

    @property
    def least(self) -> int:
        """Minimum number of pods of a revision that is awake."""
        return max(1, self.min)

    def within(self, number: int) -> int:
        """Return the number, or the nearest one that min and max allow to a revision that is awake."""
        return max(self.least, min(self.most, number))


class PodsMetric(Model):
    """A custom metric of the pods, averaged over them."""

    metric: ShortText = Field(description="Name in the custom metrics API.")
    average: Quantity = Field(description="Target value per pod.")


class RuntimeMetric(Model):
    """A custom metric of the pods, by its name in the runtime preset."""

    metric: Name = Field(description="Name in the preset, such as queue (requests waiting in the server) or gpu.")
    average: Quantity = Field(description="Target value per pod.")


class ExternalMetric(Model):
    """A metric from outside the cluster."""

    model_config = {"json_schema_extra": rules(exactly_one("average", "value"))}

    metric: ShortText = Field(description="Name in the external metrics API.")
    selector: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=16)] | None = Field(
        None, description="Labels of the metric."
    )
    average: Quantity | None = Field(None, description="Target value per pod.")
    value: Quantity | None = Field(None, description="Target value of the metric as a whole.")


class TriggerAuthentication(Model):
    """Where KEDA finds the credentials of a trigger."""

    name: Name = Field(description="TriggerAuthentication of KEDA in the same namespace.")


class Trigger(Model):
    """What wakes and scales the model, as KEDA defines it. KEDA reads it; the operator only passes it on."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="!(self.type in ['cpu', 'memory'])",
                message="set an entry cpu or memory of autoscaling instead of a trigger of that type",
            )
        )
    }

    type: Name = Field(description="Type of the KEDA scaler, such as prometheus, cron, aws-sqs-queue or kafka.")
    metadata: Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=32)] = Field(
        description="Parameters of the scaler, all as text, as its page in the documentation of KEDA lists them."
    )
    metric_type: Literal["AverageValue", "Value"] | None = Field(
        None, description="Whether the target is per pod (AverageValue) or for all pods. Unset: AverageValue."
    )
    authentication_ref: TriggerAuthentication | None = Field(
        None, description="Credentials of the trigger. Unset: none, or those of KEDA itself."
    )


class AutoscalingMetric(Model):
    """A metric to scale by; the metric that needs the most pods decides."""

    model_config = {"json_schema_extra": rules(exactly_one("cpu", "memory", "runtime", "pods", "external", "trigger"))}

    cpu: int | None = Field(None, ge=1, le=1000, description="Target CPU usage, as a percentage of the request.")
    memory: int | None = Field(None, ge=1, le=1000, description="Target memory usage, as a percentage of the request.")
    runtime: RuntimeMetric | None = Field(None, description="A metric that the runtime preset defines.")
    pods: PodsMetric | None = Field(None, description="A custom metric of the pods.")
    external: ExternalMetric | None = Field(None, description="A metric from outside the cluster.")
    trigger: Trigger | None = Field(
        None,
        description="A trigger of KEDA, which can also wake a model that has no pods (replicas.min 0). Beside it, only "
        "cpu, memory and further triggers are possible.",
    )


class ScalingPolicy(Model):
    """Limits how much the number of pods may change within a period."""

    type: Literal["Pods", "Percent"] = Field(description="Unit of value: pods, or percent of the current pods.")
    value: int = Field(ge=1, le=1000, description="Largest change within the period.")
    period_seconds: int = Field(60, ge=1, le=1800, description="Length of the period in seconds.")


class ScalingRules(Model):
    """Scaling behavior in one direction."""

    stabilization_window_seconds: int | None = Field(
        None,
        ge=0,
        le=3600,
        description="Seconds of past recommendations to consider; the most conservative one applies. Unset: 0 up, "
        "300 down.",
    )
    select_policy: Literal["Max", "Min", "Disabled"] | None = Field(
        None,
        description="Which policy applies: the one that allows the largest change (Max, the default), the smallest "
        "(Min), or none "
        "(Disabled).",
    )
    policies: Annotated[tuple[ScalingPolicy, ...], Field(max_length=4)] | None = Field(
        None,
        description="Unset: the Kubernetes defaults: up by 4 pods or 100 percent in 15 s, down by 100 percent in 15 s.",
    )


class ScalingBehavior(Model):
    """Scaling behavior, as in a HorizontalPodAutoscaler."""

    scale_up: ScalingRules | None = Field(None, description="Behavior when adding pods.")
    scale_down: ScalingRules | None = Field(None, description="Behavior when removing pods.")
